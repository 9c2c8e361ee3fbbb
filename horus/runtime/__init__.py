"""What `horus run` is made of: finding node files, checking them, supervising processes."""
