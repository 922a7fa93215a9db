"""Kessai's own checks have names that scripts may rely on: told in the help, and no two alike."""

import re

from deploy.cli.readiness import readiness
from deploy.doctor import finding
from deploy.doctor.finding import Subject, of_endpoint, of_queue, ok
from deploy.readiness.own import CLOCK, PROBE, as_check
from shared.broker.topology import CONSUMER_ROLES

FIXED = [each for each in vars(finding).values() if isinstance(each, Subject)]


def name(subject: Subject) -> str:
    return as_check(ok(subject, "found")).name


def test_every_name_is_told_by_the_help() -> None:
    told = re.findall(r"kessai_[\w-]+", readiness.__doc__ or "")
    names = [*map(name, [*FIXED, *map(of_queue, CONSUMER_ROLES)]), PROBE, CLOCK]
    assert len(names) == len(set(names)) == 16
    assert [each for each in names if each not in told] == []


def test_a_name_is_not_made_of_its_heading() -> None:
    assert name(finding.OPEN_WORK) == "kessai_open_work"
    assert (name(finding.BROKER), name(finding.DATABASE)) == ("kessai_broker", "kessai_database")


def test_no_two_endpoints_have_one_name() -> None:
    assert (name(of_endpoint("tea_shop")), name(of_endpoint("tea-shop"))) == (
        "kessai_endpoint_tea_shop",
        "kessai_endpoint_tea-shop",
    )
