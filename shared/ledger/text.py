"""May the books keep this text that a person wrote?"""


def is_keepable(text: str, *, longest: int) -> bool:
    """Whether Postgres takes it: not blank, at most `longest` characters, no NUL and no half of a surrogate pair."""
    return bool(text.strip()) and len(text) <= longest and "\0" not in text and is_unicode(text)


def is_unicode(text: str) -> bool:
    """Whether the text can be encoded as UTF-8: half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
