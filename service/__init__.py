"""What every process of Postwatch needs: settings, logging, signals, locks, supervision."""
