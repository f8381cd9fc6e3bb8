"""The views: what each one folds from the events, and its queries."""
