"""A course from the book: notebooks for students and for lecturers, and grades.

``chapters`` reads a chapter's exercises from its one source, ``export`` writes the student's and the solved notebook,
``grade`` runs what came back. The command line calls them: ``nde-lab course export`` and ``nde-lab course grade``.
"""
