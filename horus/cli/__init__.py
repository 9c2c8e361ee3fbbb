"""What a person types: ``horus run``, ``horus clean``, ``horus doctor``, ..."""
