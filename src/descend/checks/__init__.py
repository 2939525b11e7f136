"""Layer 4: the project's own checks, public: run them on a rule or an engine of yours."""
