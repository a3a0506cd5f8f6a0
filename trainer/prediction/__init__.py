"""A trained run and a video -> answers per person over time, and their files.

``results``     windows, faces and people of one video
``drawn_text``  text on frames
``overlay``     drawing of people, answers and warnings on a frame
``video``       the annotated video
"""
