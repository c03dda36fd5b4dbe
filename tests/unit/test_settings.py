"""Does the environment become settings, whole and checked, or an error that says what to write instead?"""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.errors import SettingError
from runtime.secret import Secret, hide_passwords, hide_url
from runtime.settings import NumberSettings, Settings
from runtime.variables import BY_NAME, DEMO_NUMBER, GLOBAL, NOT_YET, PER_NUMBER
from runtime.windows import LoopGuard

OTHER = "393331234567"


def read(**texts: str) -> Settings:
    """Read settings from HEADWAY_ variables given without their prefix."""
    return Settings.from_env({f"HEADWAY_{name}": text for name, text in texts.items()})


def of_demo(**texts: str) -> NumberSettings:
    """Read the demo number's settings."""
    return read(**texts).number(DEMO_NUMBER)


def problem(**texts: str) -> SettingError:
    """Read settings that must be refused, and return the error."""
    with pytest.raises(SettingError) as caught:
        read(**texts)
    return caught.value


def test_an_empty_environment_gives_the_defaults_of_the_contract() -> None:
    """Everything may be left out."""
    settings = Settings.from_env({"PATH": "/bin", "OTHER_TPS": "3"})
    assert settings.redis_url is None
    assert settings.home == Path.cwd() / ".headway"
    assert settings.numbers == ("15555550100",)
    assert (settings.send_timeout_ms, settings.lease_ttl_ms) == (30_000, 10_000)
    assert settings.record_ttl_s == 30 * 86_400
    assert settings.log == "auto"
    assert settings.not_yet == settings.unserved == ()
    assert settings.number("15555550100") == NumberSettings(
        number="15555550100",
        tps_milli=10_000,
        headroom_ppm=100_000,
        calm_ppm=0,
        floor_ppm=100_000,
        shares={"high": 70, "normal": 20, "bulk": 10},
        order=("urgent", "high", "normal", "bulk"),
        shards=1,
        counts=("send", "inbound", "delivered", "read"),
        receipts=("delivered", "read"),
        event_webhook=True,
        in_flight=25,
        guard_us=10_000,
        provider="picky",
        provider_urls=("https://app.pickyassist.com",),
        provider_token=Secret(),
        application="15555550100",
        uncertain={"urgent": "resend", "high": "resend", "normal": "hold", "bulk": "hold"},
        uncertain_wait_ms=60_000,
        retry_for_ms=86_400_000,
        expires_ms={},
        quiet={},
        caps=(),
        loop_guard=LoopGuard(5, 60_000),
        push_per_minute=90,
        status_per_minute=3,
        webhook_keys=(),
        webhooks_open=False,
        forward_url=Secret(),
    )


def test_a_number_s_own_variable_wins_over_the_one_for_all() -> None:
    """HEADWAY_X_<number> holds for that number alone."""
    settings = read(NUMBERS=f"{DEMO_NUMBER}, {OTHER}", TPS="20", **{f"TPS_{OTHER}": "80", f"APPLICATION_{OTHER}": "8"})
    assert settings.numbers == (DEMO_NUMBER, OTHER)
    assert settings.number(DEMO_NUMBER).tps_milli == 20_000
    assert settings.number(OTHER).tps_milli == 80_000
    assert settings.number(DEMO_NUMBER).application == DEMO_NUMBER
    assert settings.number(OTHER).application == "8"


def test_a_number_outside_the_list_has_settings_and_is_reported() -> None:
    """A worker may be told its queues, but a variable for a number that nobody serves may be a slip."""
    settings = read(**{f"TPS_{OTHER}": "80"})
    assert settings.number(OTHER).tps_milli == 80_000
    assert settings.unserved == (f"HEADWAY_TPS_{OTHER}",)


@pytest.mark.parametrize(
    ("text", "milli"),
    [("10", 10_000), ("0.2", 200), ("0.001", 1), ("10000000", 10_000_000_000), ("1.500", 1_500), (" 7 ", 7_000)],
)
def test_tps_is_kept_exactly(text: str, milli: int) -> None:
    """No float stands between what was written and what is metered."""
    assert of_demo(TPS=text).tps_milli == milli


@pytest.mark.parametrize(
    "text", ["0", "-1", "0.0005", "10000001", "ten", "1e3", "NaN", "1_000", "\u0661\u0660", "10/s", "1,5", "."]
)
def test_a_tps_that_cannot_be_is_refused(text: str) -> None:
    """Zero would never send, and other spellings of a number are a slip."""
    assert problem(TPS=text).variable == "HEADWAY_TPS"


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("HEADROOM", ("0", "0.85"), ("0.91", "10%", "0.0000001")),
        ("CALM", ("0", "0.85"), ("0.91", "10%")),
        ("FLOOR", ("0", "0.5"), ("0.51", "10%")),
        (
            "SHARES",
            ("none", "high=1", "bulk=100, normal=3"),
            ("urgent=1", "high", "high=0", "high=101", "high=1,high=2"),
        ),
        ("ORDER", ("none", "urgent", "bulk, high"), ("all", "urgent,urgent", "urgent,none")),
        ("IN_FLIGHT", ("1", "1000"), ("0", "1001", "2.5")),
        ("GUARD", ("0", "0.5"), ("0.51", "20ms")),
        ("UNCERTAIN_WAIT", ("0", "604800"), ("604801", "1m")),
        ("RETRY_FOR", ("1", "2592000"), ("0", "2592001", "1d")),
        ("SEND_TIMEOUT", ("1", "300", "2.5"), ("0.9", "301")),
        ("LEASE_TTL", ("3", "15"), ("2", "16")),
        ("CAMPAIGN_RECIPIENTS", ("1", "100000"), ("0", "100001", "many")),
        ("CAMPAIGN_UPLOAD", ("1", "100000"), ("0", "100001", "1e3")),
        ("CAMPAIGN_BYTES", ("1024", "104857600"), ("1023", "104857601", "10MB")),
        ("RECORD_TTL", ("7", "365"), ("0", "366", "1.5")),
        ("SHARDS", ("1", "2", "4", "8", "16", "32"), ("0", "3", "64", "2.0")),
        ("PROVIDER", ("picky",), ("cloud", "onprem", "pickyassist")),
        ("LOG", ("auto", "json", "pretty"), ("JSON", "text")),
        ("LOCKOUT", ("on", "off"), ("no", "3")),
        ("TRUSTED_PROXIES", ("10.0.0.7", "10.1.2.3/8,fd00::/8"), ("proxy", "10.0.0.0/33", "10.0.0.1,")),
        ("COUNTS", ("send", "send,inbound"), ("sent", "send,send", "send,")),
        ("RECEIPTS", ("none", "delivered", "read,delivered"), ("none,read", "seen", "read")),
        ("EVENT_WEBHOOK", ("on", "off"), ("no",)),
        ("PUSH_PER_MINUTE", ("1", "600"), ("0", "1.5")),
        (
            "UNCERTAIN",
            ("bulk=resend", "urgent=hold , high=hold"),
            ("bulk", "bulk=drop", "slow=hold", "bulk=hold,bulk=hold"),
        ),
        (
            "NUMBERS",
            (OTHER, f"{OTHER},{DEMO_NUMBER}"),
            ("+393331234567", "0039333123", "12", f"{OTHER},{OTHER}", f"{OTHER},"),
        ),
        (
            "PROVIDER_URL",
            ("http://127.0.0.1:9", "https://a/app,https://b"),
            ("a.com", "ftp://a", "https://a/api/v2/push", "https://a?k=1", "http://a:x"),
        ),
        ("PROVIDER_TOKEN", ("abc",), ("a b", "ключ")),
        ("FORWARD_URL", ("https://app/hook?key=1",), ("app/hook", "https://")),
        (
            "REDIS_URL",
            (
                "redis://h",
                "rediss://u:p@h:1/2?ssl_cert_reqs=CERT_NONE",
                "sentinel://a:1;sentinel://b:2/0?master_name=m",
                "sentinel+tls://a:1;sentinel+tls://b:2/0?master_name=m&ssl_ca_certs=/ca.pem&ssl_check_hostname=no",
            ),
            (
                "h:6379",
                "http://h",
                "redis://",
                "redis://h:x",
                "redis://h/zero",
                "redis://h?decode_responses=1",
                "redis://a;redis://b",
                "sentinel://a",
                "sentinel://a;redis://b/0?master_name=m",
                "sentinel://a;sentinel+tls://b/0?master_name=m",
                "sentinel://a/0?master_name=m&ssl_ca_certs=/ca.pem",
                "sentinel+tls://a",
            ),
        ),
    ],
)
def test_each_variable_takes_its_bounds_and_refuses_what_lies_beyond(
    name: str, good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    """The bounds themselves are allowed; the error names the variable."""
    for text in good:
        read(**{name: text})
    for text in bad:
        assert problem(**{name: text}).variable == f"HEADWAY_{name}", text


def test_every_variable_s_default_is_itself_allowed() -> None:
    """Writing a default down changes nothing."""
    texts = {name: variable.default for name, variable in BY_NAME.items() if variable.default}
    assert Settings.from_env(texts) == Settings.from_env({})


def test_the_error_of_an_override_names_the_override() -> None:
    """With hundreds of numbers the reader has to know which line to correct."""
    error = problem(TPS="10", **{f"TPS_{OTHER}": "fast"})
    assert error.variable == f"HEADWAY_TPS_{OTHER}"
    assert str(error).startswith(f"HEADWAY_TPS_{OTHER}: 'fast' is no number")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TSP", "did you mean HEADWAY_TPS?"),
        ("REDIS", "did you mean HEADWAY_REDIS_URL?"),
        (f"HEADROM_{OTHER}", "did you mean HEADWAY_HEADROOM?"),
        ("XYZZY", "there is no such setting;"),
        (f"HOME_{OTHER}", "set HEADWAY_HOME instead"),
        ("TPS_123", "is no WhatsApp number"),
    ],
)
def test_an_unknown_name_is_refused_and_the_nearest_one_offered(name: str, expected: str) -> None:
    """A misspelt setting is never silently ignored."""
    error = problem(**{name: "1"})
    assert error.variable == f"HEADWAY_{name}"
    assert expected in str(error)


def test_a_class_name_that_is_misspelt_is_corrected_too() -> None:
    """Values get the same help as names."""
    assert "did you mean urgent?" in str(problem(UNCERTAIN="urgnt=hold"))


def test_what_a_cluster_puts_into_the_environment_is_let_through() -> None:
    """Kubernetes sets such names in every container when a service is called headway."""
    read(SERVICE_HOST="10.0.0.1", SERVICE_PORT="8080", SERVICE_PORT_HTTP="8080", PORT="tcp://10.0.0.1:8080",
         PORT_8080_TCP="tcp://10.0.0.1:8080", PORT_8080_TCP_ADDR="10.0.0.1", REDIS_SERVICE_HOST="10.0.0.2")  # fmt: skip
    assert problem(PORT="8080").variable == "HEADWAY_PORT"


def test_an_empty_text_counts_as_unset() -> None:
    """A compose file writes `HEADWAY_TPS=` for a variable that the host didn't set."""
    assert read(TPS="", REDIS_URL=" ") == Settings.from_env({})


def test_waiting_for_an_echo_may_not_outlast_the_record() -> None:
    """A relation between two variables: an uncertain message must still be known when its echo comes."""
    error = problem(UNCERTAIN_WAIT="172800", RECORD_TTL="1")
    assert error.variable == "HEADWAY_UNCERTAIN_WAIT"
    assert "HEADWAY_RECORD_TTL" in error.problem
    read(UNCERTAIN_WAIT="86400", RECORD_TTL="1")


@pytest.mark.parametrize(
    ("texts", "blamed", "words"),
    [
        ({"HEADROOM": "0.9"}, "HEADWAY_HEADROOM", "headroom 0.9 and floor 0.1"),
        ({"FLOOR": "0.5", "HEADROOM": "0.5"}, "HEADWAY_HEADROOM", "their sum must be less than 1"),
        ({f"HEADROOM_{OTHER}": "0.85", "FLOOR": "0.2"}, f"HEADWAY_HEADROOM_{OTHER}", "headroom 0.85 and floor 0.2"),
        ({"CALM": "0.9", "FLOOR": "0.2"}, "HEADWAY_CALM", "calm 0.9 and floor 0.2"),
        ({"COUNTS": "inbound,read"}, "HEADWAY_COUNTS", "leaves out send"),
        ({"EVENT_WEBHOOK": "off", "RECEIPTS": "none"}, "HEADWAY_EVENT_WEBHOOK", "receipts are none"),
        ({f"RECEIPTS_{OTHER}": "none", "EVENT_WEBHOOK": "off"}, "HEADWAY_EVENT_WEBHOOK", "name the receipts"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(texts: dict[str, str], blamed: str, words: str) -> None:
    """Each alone may be; together they can't, and the one that was set is named with what to write instead."""
    error = problem(**texts)
    assert error.variable == blamed
    assert words in error.problem


def test_an_absurdly_long_value_is_shown_in_part() -> None:
    """An error is one sentence, whatever was pasted."""
    for name in ("TPS", "PROVIDER", "COUNTS"):
        assert len(str(problem(**{name: "9" * 10_000}))) < 250


def test_what_has_no_effect_yet_is_listed_when_it_was_changed() -> None:
    """A door says so at its start; a default that was written down is nothing to warn of."""
    settings = read(APP_SECRET="s", VERIFY_TOKEN="", **{f"VERIFY_TOKEN_{OTHER}": "v"})
    assert settings.not_yet == ("HEADWAY_APP_SECRET", f"HEADWAY_VERIFY_TOKEN_{OTHER}")
    assert set(NOT_YET) < set(BY_NAME)


def test_one_class_can_be_changed_and_the_others_stay() -> None:
    """HEADWAY_UNCERTAIN may name some of the four."""
    assert of_demo(UNCERTAIN="bulk=resend").uncertain == {
        "urgent": "resend", "high": "resend", "normal": "hold", "bulk": "resend",
    }  # fmt: skip


def test_provider_urls_lose_their_last_slash() -> None:
    """The API's path is put behind them."""
    assert of_demo(PROVIDER_URL="https://a/app/, http://b:1").provider_urls == ("https://a/app", "http://b:1")


def test_the_home_is_absolute_from_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker may change its directory after the settings were read."""
    monkeypatch.chdir(tmp_path)
    assert read(HOME="data").home == tmp_path / "data"


def test_webhooks_are_open_only_when_a_person_says_so() -> None:
    """`off` is no key; what is left out lets nobody in."""
    off, unset, keyed = of_demo(WEBHOOK_KEY="off"), of_demo(), of_demo(WEBHOOK_KEY="k")
    assert (off.webhooks_open, off.webhook_keys) == (True, ())
    assert (unset.webhooks_open, unset.webhook_keys) == (False, ())
    assert (keyed.webhooks_open, keyed.webhook_keys) == (False, (Secret("k"),))
    assert "stands alone" in str(problem(WEBHOOK_KEY="k,off"))
    rows = read(WEBHOOK_KEY="off").describe()
    assert next(row.value for row in rows if row.variable == "HEADWAY_WEBHOOK_KEY") == "off"


def test_proxies_are_networks() -> None:
    """An address alone is a network of one; host bits are no slip worth an error."""
    found = read(TRUSTED_PROXIES="10.1.2.3/8, ::1").trusted_proxies
    assert [str(network) for network in found] == ["10.0.0.0/8", "::1/128"]


def test_no_secret_shows_itself() -> None:
    """Neither repr nor str nor what is described nor an error gives one away."""
    settings = read(
        REDIS_URL="rediss://me:hush,1@h/0", PROVIDER_TOKEN="hush2", API_TOKENS="hush3,hush4", FORWARD_URL="http://a/?key=hush5",
        **{f"PROVIDER_TOKEN_{OTHER}": "hush6", "NUMBERS": OTHER, "WEBHOOK_KEY": "hush7,hush8"},
    )  # fmt: skip
    assert [token.reveal() for token in settings.api_tokens] == ["hush3", "hush4"]
    assert settings.number(OTHER).forward_url.reveal() == "http://a/?key=hush5"
    assert [key.reveal() for key in settings.number(OTHER).webhook_keys] == ["hush7", "hush8"]
    assert settings.number(OTHER).provider_token.reveal() == "hush6"
    shown = f"{settings!r} {settings.number(OTHER)!r} {settings.number(DEMO_NUMBER)} {settings.describe()}"
    assert "hush" not in shown
    for texts in ({"PROVIDER_TOKEN": "hush hush"}, {"REDIS_URL": "redis://:hush/x@h"}, {"FORWARD_URL": "x?key=hush"}):
        assert "hush" not in str(problem(**texts))


def test_describe_says_where_each_value_came_from() -> None:
    """Default, for all, or for one: the first question when a number behaves oddly."""
    rows = read(NUMBERS=f"{DEMO_NUMBER},{OTHER}", TPS="20", **{f"TPS_{OTHER}": "80"}).describe()
    found = {(row.variable, row.number): (row.value, row.source) for row in rows}
    assert found["HEADWAY_TPS", DEMO_NUMBER] == ("20", "HEADWAY_TPS")
    assert found["HEADWAY_TPS", OTHER] == ("80", f"HEADWAY_TPS_{OTHER}")
    assert found["HEADWAY_HEADROOM", OTHER] == ("0.1", "default")
    assert found["HEADWAY_REDIS_URL", ""] == ("", "default")
    assert len(rows) == len(found) == len(GLOBAL) + 2 * len(PER_NUMBER)


def test_later_changes_of_the_environment_change_nothing() -> None:
    """It is read once, at the door."""
    environ = {"HEADWAY_TPS": "20"}
    settings = Settings.from_env(environ)
    environ["HEADWAY_TPS"] = "30"
    assert settings.number(DEMO_NUMBER).tps_milli == 20_000


def test_asking_for_something_that_is_no_number_is_an_error() -> None:
    """A queue's name with a slip in it must not become a number of its own."""
    with pytest.raises(SettingError, match="is no WhatsApp number"):
        read().number("bulk")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:p@ss@h:1/0", "redis://***@h:1/0"),
        ("sentinel://:a;b@h:1;sentinel://:c@g:2/0", "sentinel://***@h:1;sentinel://***@g:2/0"),
        ("https://token@h/x?a=b", "https://***@h/x?a=b"),
        ("see http://h:80 and a@b", "see http://h:80 and a@b"),
        ("no url: a@b", "no url: a@b"),
    ],
)
def test_passwords_in_urls_are_masked_and_nothing_else(url: str, shown: str) -> None:
    """Also the ones that were written without percent-encoding."""
    assert hide_passwords(url) == shown


def test_query_values_are_masked_where_a_url_may_hold_a_key() -> None:
    """The names stay, so that the reader sees which keys were given."""
    assert hide_url("https://h/x?key=a,b&z=1") == "https://h/x?key=***&z=***"
