"""A trained run and a video -> answers per person over time, and their files.

In the order of the data:

``inputs``          paths that a user names -> sources, each with a name for its output
``label_texts``     columns and labels as users write them -> their meaning
``labels``          labels that a user has for videos -> a row for each labelled span
``extraction``      a run -> detector and encoder, as the features of its training clips were made
``early_checks``    checks of options that need no model
``source``          a source -> its scan and its windows
``step_times``      a source -> times of detector and encoder on this machine
``plan``            sources -> their numbers of windows and images, and an estimate of the time
``answer_values``   an answer, and checks of stored values
``answers``         features of windows -> answers of a run
``growing_files``   files of lines that grow together, with the state to continue from
``stored``          windows.jsonl, faces.jsonl and their state
``run_options``     a run -> what its windows need, and the warnings of its answers
``found_people``    tracks and faces that a reader has found -> people and faces
``predict``         a run and a source -> its prediction
``results``         windows, faces and people of one video
``people_file``     names that a user gives to people and tracks -> the people of a prediction
``spans``           overlapping windows of a person -> spans of time, one after another
``label_runs``      answers of neighbouring windows -> runs of equal answers, on a timeline for each person
``people_summary``  timelines of a person -> time on screen, share of every class
``tables``          windows.csv, frames.csv, people.csv and fex.csv
``documents``       prediction.json
``elan``            timeline.eaf
``subtitles``       subtitles.srt and subtitles.vtt
``page_style``      colours, patterns and style sheet of pages
``page_script``     the script of a video's page
``charts``          a timeline -> SVG
``person_section``  the section of a page for one timeline
``thumbnails``      a face of every person
``page``            index.html of a video
``folder_page``     index.html of a folder of videos
``fonts``           fonts that have the letters of a text, and names to draw
``drawn_text``      text on frames
``overlay_tracks``  tracks -> the box on every frame
``overlay``         drawing of people, answers and warnings on a frame
``video``           the annotated video
``effects``         changes of an answer without a frame, or without a cell of the scene
``explanation_choice`` windows to explain
``explanation_text``   sentences of explanations
``explanation_image``  the image of an explained window
``explanations``    images and sentences of some windows
``label_scores``    labelled spans and predictions -> an answer for each span, WAR, UAR and recalls
``label_notes``     labelled spans -> remarks
``label_files``     scores of labels -> labels.json, labelled.csv and the figure of the confusion matrix
``writing``         formats -> files
``outputs``         a prediction -> the files that a user asks for
``restarting``      `--restart`, once per command
``video_progress``  the fraction of a video that is done
``video_tasks``     a video as a task of a worker, and its result
``worker``          a video -> its prediction and files, on a worker of any executor
``clip_list``       a list of clips -> one clip per row
``clip_answers``    clips -> answers, by the steps of `extract`
``clip_results``    answers for clips, and the report on a list
``clip_files``      clips.jsonl, clips.csv and prediction.json of a list
``clip_session``    a list of clips -> its answers and files
``outcomes``        results for several sources, and callbacks for progress
``differing_workers`` results of several sources -> a warning if they were not computed alike
``session``         several sources -> a prediction of each
``api``             `trainer.predict`: a prediction from Python
``stream``          `trainer.predict_stream`: answers while frames arrive
"""
