"""Every task by name, and the file it stands in."""

MODULES = {
    "digits": "digits",
    "digits-logistic": "images.logistic",
    "denoiser": "images.denoiser",
    "photo": "images.photo",
    "cancer": "tables.cancer",
    "longley": "tables.longley",
    "quadratic": "maths.quadratic",
    "zipf-memory": "maths.zipf",
    "grokking": "maths.grokking",
    "factorisation": "maths.factorisation",
    "python-gpt": "texts.python_gpt",
    "python-rnn": "texts.python_rnn",
    "burgers": "maths.burgers",
    "fashion-cnn": "images.fashion",
    "mnist-autoencoder": "images.mnist",
    "shakespeare": "texts.shakespeare",
    "surnames": "texts.surnames",
    "diamonds": "tables.diamonds",
    "gunpoint": "series.gunpoint",
}
