"""A trained run and a video -> answers per person over time, and their files.

``results``   windows, faces and people of one video
"""
