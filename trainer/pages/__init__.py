"""Pages of texts, tables and figures -> HTML, Markdown, terminal.

``document``    parts of a page
``banners``     warnings of runs -> lines above a page, labels of a table's rows
``formatting``  numbers          -> the texts of a table's cells
``html``        a page           -> one self-contained file
``markdown``    a page           -> Markdown
``text``        a table          -> lines for a terminal
``files``       a text           -> a file, replaced at once
"""
