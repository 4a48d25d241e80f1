import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kvlatency.console import framing


def typed(command, token="ab12"):
    return "\n".join(framing.typed_lines(command, token)) + "\n"


@given(st.text(max_size=2000))
def test_E06_no_typed_line_is_too_long_for_a_terminal_or_holds_a_control_character(command):
    for line in framing.typed_lines(command, "ab12"):
        assert len(line) < 1000
        assert re.fullmatch(r"[ -~]+", line)


@given(st.text(max_size=300))
def test_what_is_typed_never_reads_as_a_marker_even_when_it_comes_back(command):
    echo = typed(command).replace("\n", "\r\n")
    assert framing.find(echo, "ab12") is None


TEXT = st.text(alphabet=st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), max_size=60)


@settings(max_examples=20)
@given(st.lists(TEXT, min_size=1, max_size=40))
def test_quoting_gives_any_text_back(texts):
    # One shell for many texts: to start one takes longer than all that it does here.
    script = "\n".join(f'x="$(printf {framing.quote(text)})"; printf \'%s\\0\' "$x"' for text in texts)
    said = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True)
    assert said.stdout.decode().split("\0")[:-1] == [text.rstrip("\n") for text in texts]


def frame(output="", token="ab12", status=0):
    mark = f"__KV{token}"
    return f"\r\n{mark} S\r\n{mark} S\r\n{output}\r\n{mark} E {status}\r\n{mark} E {status}\r\n"


def test_output_and_status_come_from_one_match():
    found = framing.find("noise" + frame("one\r\ntwo\r\n", status=7) + "# ", "ab12")
    assert (found.output, found.exit_status, found.shell_ended) == ("one\ntwo\n", 7, False)


@pytest.mark.parametrize("text", ["# ", "$ ", "login: ", "__KVffff E 0\r\n", "root@host:~# "])
def test_E07_prompts_and_older_markers_in_the_output_end_nothing(text):
    assert framing.find(frame(text + "\r\nmore"), "ab12").output == text.replace("\r", "") + "\nmore"
    assert framing.find("__KVab12 S\r\n" + text, "ab12") is None


@pytest.mark.parametrize("where", range(1, 14))
def test_E12_a_kernel_message_that_tears_a_marker_leaves_its_twin(where):
    whole = frame("out\r\n", status=3)
    noise = "[   12.345678] clocksource: noise\r\n"
    for marker in ("__KVab12 S\r\n", "__KVab12 E 3\r\n"):
        at = whole.index(marker) + min(where, len(marker) - 3)
        found = framing.find(whole[:at] + noise + whole[at:], "ab12")
        assert found.exit_status == 3
        assert "out" in found.output


@pytest.mark.parametrize(
    "dirty",
    [
        "\x1b[6nout",
        "\x1b[1;31mo\x1b[0mut",
        "\x1b]0;title\x07out",
        "\x1b]3008;start=x\x1b\\out",
        "\x1b[?2004lout",
        "o\x08\x08ut".replace("\x08\x08", ""),
    ],
)
def test_E06_terminal_sequences_are_no_output(dirty):
    assert framing.clean(dirty) == "out"


def test_lone_carriage_returns_are_line_ends():
    assert framing.clean("10%\r20%\r\r\nend") == "10%\n20%\nend"


def tagged(*lines, token="ab12"):
    return "".join(f"__KV{token}|{line}|__KV{token}\r\n" for line in lines)


def tagged_frame(body, status=0):
    end = ("", f"__KVab12 E {status}", f"__KVab12 E {status}")
    return "\r\n__KVab12 S\r\n__KVab12 S\r\n" + body + tagged(*end)


@given(st.text(max_size=2000))
def test_E06_no_tagged_line_is_too_long_for_a_terminal_either(command):
    for line in framing.typed_lines(command, "ab12cd34", is_tagged=True):
        assert len(line) < 1000
        assert re.fullmatch(r"[ -~]+", line)


@given(st.text(max_size=300))
def test_a_tagged_command_never_reads_as_a_marker_when_it_comes_back(command):
    echo = "\r\n".join(framing.typed_lines(command, "ab12", is_tagged=True)) + "\r\n"
    assert framing.find(echo, "ab12") is None


def test_a_tagged_frame_holds_its_own_lines_and_no_others():
    body = tagged("one") + tagged("of a job", token="ffff") + "[1]+ Done   job\r\n# " + tagged("two", "")
    found = framing.find(tagged_frame(body, status=4), "ab12")
    assert (found.output, found.exit_status) == ("one\ntwo\n\n", 4)


def test_the_lines_of_a_job_are_taken_out_of_a_frame_that_is_not_tagged():
    line = "64 bytes from 198.18.0.2: seq=1 ttl=64 time=0.3 ms"
    torn = line[:20] + tagged("of a job", token="ffff") + line[20:]
    assert framing.find(frame(torn + "\r\n"), "ab12").output == line + "\n"


@pytest.mark.parametrize("where", range(12))
def test_E12_a_kernel_message_that_tears_a_tag_takes_nothing_away(where):
    whole = tagged("one", "two", "three")
    noise = "[   12.345678] clocksource: noise\r\n"
    found = framing.find(tagged_frame(whole[:where] + noise + whole[where:]), "ab12")
    words = re.findall("[a-z]+", found.output.replace("clocksource: noise", ""))
    assert "".join(words).endswith("onetwothree"[3 if 9 <= where < 12 else 0 :])
    assert found.exit_status == 0
