"""A process of Postwatch: settings, logging, opening a store, supervision, gunicorn."""
