"""Whom sessions are of, in words: a subject has one session, a participant may have several."""

from collections.abc import Iterable

from mri3d.cohort.cohort import Cohort
from mri3d.texts import number_text


def session_word(cohort: Cohort) -> str:
    """Return what to call a session: "subject" where nobody who takes part has several, or may have; else "session".

    Who is in a group with others but is not named as a participant may be one person's further visit.
    """
    participants = [session.participant for session in cohort.taking_part.sessions]
    one_each = None not in participants and len(set(participants)) == len(participants)
    return "subject" if one_each or len(set(cohort.groups.tolist())) == len(participants) else "session"


def count_sessions(cohort: Cohort, rows: Iterable[int] | None = None) -> str:
    """Count sessions that take part: "12 subjects" or, where they may have several, "12 sessions of 8 participants".

    Args:
        cohort: Theirs.
        rows: Those to count; all unless given.

    >>> from mri3d.cohort.cohort import Session
    >>> visits = [Session(f"{who}{visit}", None, "F", participant=who) for who in "ab" for visit in "12"]
    >>> count_sessions(Cohort(tuple(visits))), count_sessions(Cohort(tuple(visits[1:3])))
    ('4 sessions of 2 participants', '2 subjects')
    """
    sessions, word = cohort.taking_part.sessions, session_word(cohort)
    chosen = list(sessions) if rows is None else [sessions[row] for row in rows]
    text = number_text(len(chosen), word)
    people = {session.participant for session in chosen}
    return text if word == "subject" or None in people else f"{text} of {number_text(len(people), 'participant')}"


def num_participants(cohort: Cohort) -> int:
    """Count those who take part: each once, where it is known whose the sessions are."""
    sessions = cohort.taking_part.sessions
    return len({(session.participant is None, session.participant or session.id) for session in sessions})
