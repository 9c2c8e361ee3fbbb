"""`horus monitor`: what a running robot does, in a terminal or in a browser.

`Model` looks at a session a few times a second; the terminal and the web page show what it found.
"""
