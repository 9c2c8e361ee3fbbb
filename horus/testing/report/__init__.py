"""What a run on a rig found: its file (`results`), as a page (`html`), against another (`diff`)."""
