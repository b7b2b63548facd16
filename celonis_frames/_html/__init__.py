"""What a notebook shows of a status, a plan or a report: pure functions from data to HTML.

`elements.py` writes elements and escapes all text, `style.py` has the colours of light and dark
pages, `report.py` the parts of a report.
"""
