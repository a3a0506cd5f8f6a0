"""What is shown to people: pages of texts, tables and figures, whatever they are written as.

``document``    what a page is made of
``banners``     warnings of runs -> lines above a page, labels of a table's rows
``formatting``  numbers          -> the texts of a table's cells
``html``        a page           -> one self-contained file
``markdown``    a page           -> Markdown
``text``        a table          -> lines for a terminal
``files``       a text           -> a file, replaced at once
"""
