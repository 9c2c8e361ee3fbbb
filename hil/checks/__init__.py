"""The conformance suite: ``pytest --pyargs horus_hil.checks --rig RIG`` runs it on a rig."""
