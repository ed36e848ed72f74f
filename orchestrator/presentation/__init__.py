"""How figures, verdicts and the matrix read to people, the same on the terminal and on the web.

Pure: the contract goes in, text and plain values come out.
"""
