"""Which kinds of files of orders are there?"""

from enum import StrEnum


class FileFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
