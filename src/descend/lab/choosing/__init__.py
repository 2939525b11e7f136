"""Which rule, which rate, which schedule, for your model: `choose`."""
