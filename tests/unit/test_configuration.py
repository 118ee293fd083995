"""providers.yaml: what it may say, and one clear report of everything that is wrong with it."""

import json
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from llm_router import configuration, configuration_text
from llm_router.candidates import Auth, AuthKind, Feature, Optimize, Price, Strategy
from llm_router.catalogue import Catalogue
from llm_router.errors import ConfigurationError

REPOSITORY = Path(__file__).parents[2]
KNOWN = {
    "groq": {"llama-3.1-8b-instant": {"input": "0.05", "output": "0.08", "context_window": 131072}},
    "openai": {"gpt-4o-mini": {"input": "0.15", "cached_input": "0.075", "output": "0.6", "max_output_tokens": 16384}},
}
BOTH = """\
providers:
  - name: groq
    models: [llama-3.1-8b-instant]
  - name: openai
    models: [gpt-4o-mini]
"""


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    file = tmp_path_factory.mktemp("catalogue") / "catalogue.json"
    file.write_text(json.dumps({"source": "test", "as_of": "2026-11-03", "providers": KNOWN}))
    return Catalogue(file)


@pytest.fixture(params=["compiled", "pure"])
def parse(request, catalogue, monkeypatch):
    """Both parsers that PyYAML may have: what they make of a text must be the same."""
    if request.param == "pure":
        monkeypatch.setattr(configuration_text, "_LOADER", yaml.SafeLoader)
    else:
        assert configuration_text._LOADER is yaml.CSafeLoader
    return lambda text: configuration.parse(dedent(text), source="providers.yaml", catalogue=catalogue)


@pytest.fixture
def problems(parse):
    def reported(text):
        with pytest.raises(ConfigurationError) as caught:
            parse(text)
        assert str(caught.value).startswith("providers.yaml has ")
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        return caught.value.problems

    return reported


@pytest.fixture
def only_problem(problems):
    def reported(text):
        found = problems(text)
        assert len(found) == 1, found
        return found[0]

    return reported


def with_provider(fields):
    """`openai`, and a provider `mine` with these lines of its own."""
    lines = "\n".join(f"    {line}" for line in dedent(fields).strip().splitlines())
    return f"providers:\n  - name: openai\n    models: [gpt-4o-mini]\n  - name: mine\n{lines}\n"


def with_model(fields):
    lines = "\n".join(f"    {line}" for line in dedent(fields).strip().splitlines())
    return with_provider(f"base_url: https://mine.example/v1\nmodels:\n  - name: m\n{lines}")


def with_route(fields, name="auto"):
    lines = "\n".join(f"    {line}" for line in dedent(fields).strip().splitlines())
    return f"{BOTH}routes:\n  {name}:\n{lines}\n"


# What it may say.


def test_a_known_provider_needs_its_name_and_its_models(parse):
    groq, openai = parse(BOTH).candidates
    assert groq.name == "groq/llama-3.1-8b-instant"
    assert groq.provider.base_url == "https://api.groq.com/openai/v1"
    assert groq.provider.auth == Auth(AuthKind.BEARER)
    assert groq.provider.timeout_s == 60
    assert Feature.LOGPROBS in groq.lacks
    assert groq.price == Price(Decimal("0.05"), Decimal("0.08"), source="test", as_of=date(2026, 11, 3))
    assert (groq.context_window, groq.max_output_tokens) == (131072, None)
    assert (groq.first_token_timeout_s, groq.idle_timeout_s) == (10, 10)
    assert openai.provider.output_cap_parameter == "max_completion_tokens"
    assert openai.price.cached_input == Decimal("0.075")
    assert openai.max_output_tokens == 16384


def test_the_long_form_says_everything_and_wins_over_the_catalogue(parse):
    (candidate,) = parse("""
        providers:
          - name: groq
            base_url: https://api.groq.com/openai/v1/
            auth: {header: x-api-key}
            timeout_s: 45.5
            models:
              - name: llama-3.1-8b-instant
                context_window: 1000
                max_output_tokens: 100
                first_token_timeout_s: 20
                idle_timeout_s: 5
                price: {input: 0.07, cached_input: 0, output: 1e-1}
        """).candidates
    assert candidate.provider.base_url == "https://api.groq.com/openai/v1"
    assert candidate.provider.auth == Auth(AuthKind.HEADER, "x-api-key")
    assert candidate.provider.timeout_s == 45.5
    assert (candidate.context_window, candidate.max_output_tokens) == (1000, 100)
    assert (candidate.first_token_timeout_s, candidate.idle_timeout_s) == (20, 5)
    assert candidate.price == Price(Decimal("0.07"), Decimal("0.1"), Decimal(0))
    assert candidate.price.source == "configuration"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("timeout_s: 60", None),
        ("output_cap: max_tokens", "max_tokens"),
        ("output_cap: max_completion_tokens", "max_completion_tokens"),
    ],
)
def test_a_provider_may_say_what_it_calls_the_limit_on_an_answer(parse, line, expected):
    for form in (
        f"base_url: https://mine.example/v1\n{line}\nmodels: [{{name: m, price: unknown}}]",
        f"base_url: https://mine.example/v1\n{line}\nmodel: m\ncost_per_1k_tokens: unknown",
    ):
        assert parse(with_provider(form)).candidates[-1].provider.output_cap_parameter == expected


def test_a_provider_calls_the_limit_on_an_answer_one_of_two_things(only_problem):
    text = "base_url: https://mine.example/v1\noutput_cap: max_new_tokens\nmodels: [{name: m, price: unknown}]"
    assert "write max_tokens or max_completion_tokens" in only_problem(with_provider(text))


def test_a_provider_may_say_which_fields_it_refuses(parse):
    text = "name: groq\nrefuses: [stream_options, seed]\nmodels: [llama-3.1-8b-instant]"
    lines = "\n".join(f"    {line}" for line in text.splitlines())
    (groq,) = parse(f"providers:\n  -\n{lines}").candidates
    assert groq.provider.refused_parameters >= {"logit_bias", "stream_options", "seed"}


@pytest.mark.parametrize(
    ("provider", "lacks", "files"),
    [("mine", "[images]", False), ("mine", "[audio]", True), ("openrouter", "[images]", True)],
)
def test_a_model_that_sees_no_images_reads_no_files_unless_its_provider_does(parse, provider, lacks, files):
    """OpenRouter turns them into text."""
    model = f"{{name: m, price: unknown, lacks: {lacks}}}"
    (one,) = parse(f"""
        providers:
          - name: {provider}
            base_url: https://mine.example/v1
            models: [{model}]
        """).candidates
    assert (Feature.FILES not in one.lacks) is files


@pytest.mark.parametrize("refused", ["model", "messages", "max_tokens", "7", "Key", "{a: b}"])
def test_what_every_request_needs_cannot_be_refused(only_problem, refused):
    text = f"base_url: https://mine.example/v1\nrefuses: [{refused}]\nmodels: [{{name: m, price: unknown}}]"
    assert "refuses[0]: is no field that can be done without" in only_problem(with_provider(text))


def test_the_short_form_has_one_price_for_input_and_output_per_thousand_tokens(parse):
    (candidate,) = parse("""
        providers:
          - name: mine
            base_url: http://localhost:8000/v1
            model: tiny
            cost_per_1k_tokens: 0.0001
            timeout: 20
        """).candidates
    assert candidate.name == "mine/tiny"
    assert candidate.provider.timeout_s == 20
    assert candidate.price == Price(Decimal("0.1"), Decimal("0.1"))


def test_the_short_form_takes_its_price_from_the_catalogue_too(parse):
    (candidate,) = parse("providers: [{name: groq, model: llama-3.1-8b-instant}]").candidates
    assert candidate.price.output == Decimal("0.08")
    assert candidate.context_window == 131072


@pytest.mark.parametrize(
    "text",
    [
        "[{name: mine, base_url: https://m.example/v1, models: [{name: m, price: unknown}]}]",
        "[{name: mine, base_url: https://m.example/v1, model: m, cost_per_1k_tokens: unknown}]",
    ],
)
def test_an_unknown_price_is_said_and_is_not_zero(parse, text):
    assert parse(f"providers: {text}").candidates[0].price is None


def test_numbers_never_pass_through_a_float(parse):
    price = "0.123456789012"
    (_, candidate) = parse(with_model(f"price: {{input: {price}, output: 0.1}}")).candidates
    assert str(candidate.price.input) == price
    assert candidate.price.output * 3 == Decimal("0.3")


@pytest.mark.parametrize(
    ("written", "auth"),
    [
        ("bearer", Auth(AuthKind.BEARER)),
        ("none", Auth(AuthKind.NONE)),
        ("{header: api-key}", Auth(AuthKind.HEADER, "api-key")),
        ('"header: api-key"', Auth(AuthKind.HEADER, "api-key")),
    ],
)
def test_each_form_of_auth(parse, written, auth):
    text = f"base_url: https://mine.example/v1\nauth: {written}\nmodels: [{{name: m, price: unknown}}]"
    assert parse(with_provider(text)).candidates[1].provider.auth == auth


def test_a_local_server_needs_no_key_and_has_time_to_load_its_model(parse):
    text = "providers: [{name: ollama, models: [{name: llama3.2, price: {input: 0, output: 0}}]}]"
    (candidate,) = parse(text).candidates
    assert candidate.provider.base_url == "http://localhost:11434/v1"
    assert not candidate.provider.auth.needs_key
    assert candidate.first_token_timeout_s == 60
    assert candidate.price == Price(Decimal(0), Decimal(0))


@pytest.mark.parametrize(
    "url",
    [
        "https://llm.example.com",
        "https://llm.example.com:8443/a/b/",
        "http://127.0.0.1:9/v1",
        "http://[::1]:8000/v1",
        "http://10.1.2.3/v1",
        "http://192.168.0.4:8000/v1",
        "http://100.64.1.2/v1",
        "http://vllm:8000/v1",
        "http://box.local/v1",
        "http://llm.corp.internal/v1",
        "http://host.docker.internal:4000/v1",
        "http://localhost:11434/v1",
    ],
)
def test_base_urls_that_are_taken(parse, url):
    text = f"base_url: '{url}'\nmodels: [{{name: m, price: unknown}}]"
    assert parse(with_provider(text)).candidates[1].provider.base_url == url.rstrip("/")


def test_a_name_keeps_its_slashes_and_a_quoted_number_is_a_name(parse):
    text = "base_url: https://m.example\nmodels: [{name: a/b/c, price: unknown}, {name: '4', price: unknown}]"
    assert [c.name for c in parse(with_provider(text)).candidates[1:]] == ["mine/a/b/c", "mine/4"]


def test_an_anchor_may_be_used_again(parse):
    text = (
        "base_url: https://m.example\nmodels:\n  - {name: a, price: &p {input: 1, output: 2}}\n  - {name: b, price: *p}"
    )
    assert {c.price.output for c in parse(with_provider(text)).candidates[1:]} == {Decimal(2)}


# Routes.


@pytest.mark.parametrize("routes", ["", "routes:", "routes: {}"])
def test_without_routes_auto_holds_every_candidate(parse, routes):
    loaded = parse(f"{BOTH}{routes}\n")
    assert list(loaded.routes) == ["auto"]
    assert loaded.routes["auto"].candidates == loaded.candidates
    assert loaded.routes["auto"].strategy is Strategy.CHEAPEST
    assert loaded.notices == ()


def test_routes_without_auto_get_one_over_every_candidate_and_say_so(parse):
    loaded = parse(with_route("candidates: [openai/gpt-4o-mini]", name="steady"))
    assert loaded.routes["auto"].candidates == loaded.candidates
    assert [c.name for c in loaded.routes["steady"].candidates] == ["openai/gpt-4o-mini"]
    assert loaded.notices == ("routes.auto: is not in the file; it holds every candidate, cheapest first",)


def test_a_route_says_everything(parse):
    loaded = parse(
        with_route("""
            candidates: [openai/gpt-4o-mini, groq/llama-3.1-8b-instant]
            strategy: priority
            timeout_s: 12
            max_wait_s: 2.5
            delivery: verified
            optimize: off
            on_content_filter: next
            """)
    )
    route = loaded.routes["auto"]
    assert [c.name for c in route.candidates] == ["openai/gpt-4o-mini", "groq/llama-3.1-8b-instant"]
    assert (route.strategy, route.timeout_s, route.max_wait_s) == (Strategy.PRIORITY, 12, 2.5)
    assert route.moves_on_after_content_filter
    assert loaded.notices == ()


@pytest.mark.parametrize("optimize", Optimize)
def test_what_may_be_done_to_prompts_is_the_routes_to_say(parse, optimize):
    route = parse(with_route(f"candidates: [groq/llama-3.1-8b-instant]\noptimize: {optimize}")).routes["auto"]
    assert (route.optimize, route.max_prompt_tokens) == (optimize, None)


def test_a_prompt_is_sent_as_it_comes_where_nothing_is_said(parse):
    assert parse(with_route("candidates: [groq/llama-3.1-8b-instant]")).routes["auto"].optimize is Optimize.OFF


def test_a_limit_that_only_trim_keeps_is_told_where_the_route_does_not_trim(parse):
    limited = "candidates: [groq/llama-3.1-8b-instant]\nmax_prompt_tokens: 6000"
    loaded = parse(with_route(limited))
    assert loaded.routes["auto"].max_prompt_tokens == 6000
    assert loaded.notices[0].startswith("routes.auto.max_prompt_tokens: ")
    assert parse(with_route(f"{limited}\noptimize: trim")).notices == ()


def test_a_baseline_is_a_candidate_of_the_file_also_where_the_route_does_not_list_it(parse):
    loaded = parse(with_route("candidates: [groq/llama-3.1-8b-instant]\nbaseline: openai/gpt-4o-mini"))
    assert loaded.routes["auto"].baseline.name == "openai/gpt-4o-mini"
    assert loaded.notices == ()


def test_a_known_provider_behind_another_address_is_told_whose_prices_it_has(parse):
    text = "providers: [{name: groq, base_url: 'https://proxy.example/v1', models: [llama-3.1-8b-instant]}]"
    assert parse(text).notices == (
        "providers[0]: has a base_url of its own; prices that the file leaves out are those of groq",
    )


# What is wrong with it.


def test_every_problem_is_reported_at_once_in_the_order_of_the_file(problems):
    found = problems("""\
        providers:
          - name: Groq
            api_key: gsk_0123456789abcdef0123456789
            models:
              - name: llama
                price: {input: -1, output: cheap}
                context_windw: 10
          - name: openai
            timeout_s: 0
            models: [gpt-4o-mini]
        routes:
          auto:
            candidates: []
            strategy: cheap
        """)
    assert [problem.split(": ")[0] for problem in found] == [
        "line 2, providers[0].name",
        "line 3, providers[0].api_key",
        "line 6, providers[0].models[0].price.input",
        "line 6, providers[0].models[0].price.output",
        "line 7, providers[0].models[0]",
        "line 9, providers[1].timeout_s",
        "line 13, routes.auto.candidates",
        "line 14, routes.auto.strategy",
    ]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "", "it is empty"),
        ("# nothing\n", "", "it is empty"),
        ("null", "", "it is empty"),
        ("- a", "line 1", "is a list; write a mapping that starts with providers:"),
        ("hello", "line 1", "is text; write a mapping"),
        ("{}", "line 1, providers", "is missing"),
        ("providers:", "line 1, providers", "is empty"),
        ("providers: []", "line 1, providers", "is an empty list"),
        ("providers: {groq: 1}", "line 1, providers", "is a mapping; write a list of providers"),
        ("providers: [groq]", "line 1, providers[0]", "is text; write a mapping that starts with name:"),
        (BOTH + "route: {}", "line 6", "'route' is not known here; did you mean routes?"),
        (BOTH + "routes: []", "line 6, routes", "is an empty list; write a mapping"),
        (BOTH + "---\n" + BOTH, "line 6", "a second document"),
        ("providers: [}", "line 1", "it is not YAML"),
        ("providers:\n  - name: groq\n    auth: header: x-api-key", "line 3", "or write it as {name: value}"),
        ("providers:\n\t- name: groq", "line 2", "indent with spaces, not tabs"),
        ("providers: *all", "line 1", "an alias (*name) has no anchor"),
        ("a: &a [*a]", "line 1", "an alias (*name) has no anchor"),
        ("providers: !!python/object:os.system x", "line 1", "it has a tag"),
        ("[" * 100_000, "line 1", "it is nested too deeply"),
        ("- " * 100_000, "line 1", "it is nested too deeply"),
        ("a: \x00", "", "characters that YAML does not allow"),
        ("a: \ud800", "", "save it as plain UTF-8"),
        ("a" * 300_000, "", "it is larger than 256 kB"),
        ("? [a]\n: 1", "line 1", "a list or mapping stands where a name is expected"),
    ],
)
def test_a_text_that_is_no_configuration(problems, text, place, words):
    first = problems(text)[0]
    assert first.startswith(f"{place}: " if place else "it ")
    assert words in first


def test_aliases_cannot_unfold_into_millions_of_values(problems):
    names = "abcdefgh"
    text = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise(names)
    )
    assert "it holds more than 20000 values" in problems(text)[0]


def test_a_key_given_twice_is_reported_with_both_lines(only_problem):
    text = "providers:\n  - name: groq\n    models: [llama-3.1-8b-instant]\n    name: openai\n"
    assert only_problem(text) == "line 4: 'name' was given before, on line 2; keep one"


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ("models: [{name: m, price: unknown}]", "providers[1].base_url", "is missing; write its URL"),
        ("base_url: https://m.example", "providers[1].models", "is missing; list at least one"),
        ("base_url: https://m.example\nmodels: []", "providers[1].models", "is an empty list"),
        ("base_url: https://m.example\nmodels: m", "providers[1].models", "is text; write a list of models"),
        ("base_url: https://m.example\nmodels: [{price: unknown}]", "providers[1].models[0].name", "is missing"),
        ("base_url: https://m.example\nmodels: [{name: 4, price: unknown}]", "providers[1].models[0].name", "quotes"),
        ("base_url: https://m.example\nmodels: [{name: a b, price: unknown}]", "providers[1].models[0].name", "spaces"),
        ("base_url: https://m.example\nmodels: [[m]]", "providers[1].models[0]", "is a list; write a mapping"),
        ("base_url: https://m.example\nmodel: m", "providers[1]", "write cost_per_1k_tokens: USD per thousand"),
        ("base_url: https://m.example\ncost_per_1k_tokens: 1", "providers[1].model", "is missing"),
        (
            "base_url: https://m.example\nmodel: m\ncost_per_1k_tokens: 1\ntimeout: 1\ntimeout_s: 1",
            "providers[1].timeout",
            "keep one",
        ),
        ("base_url: 7\nmodels: [{name: m, price: unknown}]", "providers[1].base_url", "is a number"),
    ],
)
def test_a_provider_that_is_not_whole(only_problem, fields, place, words):
    problem = only_problem(with_provider(fields))
    assert f", {place}: " in problem
    assert words in problem


@pytest.mark.parametrize("name", ["Groq", "my groq", "my_groq", "-groq", "a" * 33, "grøq", "a/b", "../x"])
def test_a_name_that_could_not_name_a_keys_place(only_problem, name):
    problem = only_problem(
        f"providers: [{{name: '{name}', base_url: 'https://m.example', model: m, cost_per_1k_tokens: 1}}]"
    )
    assert problem.startswith("line 1, providers[0].name: is ")
    assert "lower-case letters, digits and dashes" in problem


def test_an_unknown_name_near_a_known_one_is_asked_about(only_problem):
    assert "did you mean groq?" in only_problem("providers: [{name: grok, models: [{name: m, price: unknown}]}]")


def test_a_provider_with_a_format_of_its_own_is_told_apart_from_a_slip(only_problem):
    problem = only_problem("providers: [{name: anthropic, models: [{name: m, price: unknown}]}]")
    assert "speaks a format of its own that is not supported yet" in problem


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mine.example/v1", "does not start with https://"),
        ("ftp://mine.example", "does not start with https://"),
        ("https://", "no usable host"),
        ("https:///v1", "no usable host"),
        ("https://user:hunter2hunter2@mine.example/v1", "holds credentials"),
        ("https://hunter2hunter2@mine.example/v1", "holds credentials"),
        ("https://mine.example/v1?key=hunter2hunter2", "after ? or #"),
        ("https://mine.example/v1#hunter2hunter2", "after ? or #"),
        ("https://mine.example/v1?", "after ? or #"),
        ("https://mine.example/v1/chat/completions", "leave that off"),
        ("https://mine.example:99999/v1", "is not a URL"),
        ("https://mine.example:0/v1", "no usable port"),
        ("https://[::1/v1", "is not a URL"),
        ("https://mine example/v1", "has spaces"),
        ("https://mïne.example/v1", "has spaces or characters"),
        ("https://mine..example/v1", "no usable host"),
        ("http://mine.example/v1", "unencrypted to a public host"),
        ("http://8.8.8.8/v1", "unencrypted to a public host"),
        ("http://169.254.169.254/v1", "unencrypted to a public host"),
        ("http://2130706433/v1", "no usable host"),
        ("http://0x7f.1/v1", "no usable host"),
        ("http://mine.internal.example/v1", "unencrypted to a public host"),
    ],
)
def test_base_urls_that_are_refused(only_problem, url, words):
    problem = only_problem(with_provider(f"base_url: '{url}'\nmodels: [{{name: m, price: unknown}}]"))
    assert "providers[1].base_url: " in problem
    assert words in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ("basic", "none of the known forms"),
        ("Bearer sk-0123456789abcdef", "none of the known forms"),
        ("{header: [x]}", "none of the known forms"),
        ("{header: x, value: hunter2}", "none of the known forms"),
        ("[bearer]", "none of the known forms"),
        ("5", "none of the known forms"),
        ("{header: 'x y'}", "a header that cannot carry a key"),
        ("{header: Host}", "a header that cannot carry a key"),
        ("aws_role", "not supported yet"),
    ],
)
def test_auth_that_is_refused(only_problem, auth, words):
    problem = only_problem(
        with_provider(f"base_url: https://m.example\nauth: {auth}\nmodels: [{{name: m, price: unknown}}]")
    )
    assert "providers[1].auth: " in problem
    assert words in problem
    assert "hunter2" not in problem
    assert "0123456789" not in problem


@pytest.mark.parametrize(
    "field", ["api_key", "apiKey", "key", "token", "API-KEY", "secret", "password", "access_token"]
)
def test_a_literal_key_is_refused_with_the_command_that_stores_it(only_problem, field):
    secret = "hunter2-correct-horse"
    fields = f"base_url: https://m.example\nmodel: m\ncost_per_1k_tokens: 1\n{field}: {secret}"
    problem = only_problem(with_provider(fields).replace("name: mine", "name: my-llm"))
    assert f"providers[1].{field}: a key must not stand in this file" in problem
    command = "aws ssm put-parameter --name /llm-router/<stage>/providers/my-llm/api_key --type SecureString --value …"
    assert command in problem
    assert "MY_LLM_API_KEY" in problem
    assert secret not in problem


def test_a_literal_key_on_a_model_or_at_the_top_is_refused_too(problems):
    found = problems("api_key: hunter2\n" + with_model("price: unknown\napi_key: hunter2"))
    assert len(found) == 2
    assert "/providers/<name>/api_key" in found[0]
    assert "/providers/mine/api_key" in found[1]
    assert "hunter2" not in "".join(found)


def test_a_slip_in_a_field_that_ends_in_token_is_no_key(only_problem):
    text = with_provider("base_url: https://m.example\nmodel: m\ncost_per_1k_token: 1\ncost_per_1k_tokens: 1")
    assert "did you mean cost_per_1k_tokens?" in only_problem(text)


@pytest.mark.parametrize(
    ("price", "place", "words"),
    [
        ("0.05", "price", "write {input: …, output: …}"),
        ("cheap", "price", "write {input: …, output: …}"),
        ("", "price", "write {input: …, output: …}"),
        ("{}", "price", "write {input: …, output: …}"),
        ("{input: 1}", "price.output", "is missing"),
        ("{output: 1}", "price.input", "is missing"),
        ("{input: '1', output: 1}", "price.input", "is text, '1'; write USD per million tokens, such as 0.05, without"),
        ("{input: $1, output: 1}", "price.input", "is text, '$1'"),
        ("{input: 0x10, output: 1}", "price.input", "is text"),
        ("{input: true, output: 1}", "price.input", "is true"),
        ("{input: , output: 1}", "price.input", "is empty"),
        ("{input: [1], output: 1}", "price.input", "is a list"),
        ("{input: -0.1, output: 1}", "price.input", "is negative"),
        ("{input: .nan, output: 1}", "price.input", "is not a number"),
        ("{input: .inf, output: 1}", "price.input", "is more than 1000000"),
        ("{input: -.inf, output: 1}", "price.input", "is negative"),
        ("{input: 1e9, output: 1}", "price.input", "is more than 1000000"),
        ("{input: 1e-13, output: 1}", "price.input", "more than 12 decimal places"),
        ("{input: 1e-999, output: 1}", "price.input", "more than 12 decimal places"),
        ("{input: 1, output: 1, outptu: 1}", "price", "did you mean output?"),
    ],
)
def test_prices_that_are_refused(only_problem, price, place, words):
    problem = only_problem(with_model(f"price: {price}"))
    assert f", providers[1].models[0].{place}: " in problem
    assert words in problem


def test_a_candidate_without_a_price_anywhere_is_refused(only_problem):
    problem = only_problem("providers:\n  - name: groq\n    models:\n      - name: llama-3.1-8b-instnt\n")
    assert problem == (
        "line 4, providers[0].models[0]: the catalogue has no price of 'groq/llama-3.1-8b-instnt' "
        "(did you mean llama-3.1-8b-instant?); "
        "write price: {input: …, output: …} in USD per million tokens, or price: unknown"
    )


@pytest.mark.parametrize("field", ["first_token_timeout_s", "idle_timeout_s"])
@pytest.mark.parametrize("value", ["0", "-1", "901", ".nan", ".inf", "10s", "true", "1:30", "''"])
def test_times_that_are_refused(only_problem, field, value):
    problem = only_problem(with_model(f"price: unknown\n{field}: {value}"))
    assert f"providers[1].models[0].{field}: is " in problem
    assert "write a number of seconds, such as 30" in problem


@pytest.mark.parametrize("field", ["context_window", "max_output_tokens"])
@pytest.mark.parametrize("value", ["0", "-5", "1.5", "8k", "true", "[1]", "99999999999"])
def test_limits_that_are_refused(only_problem, field, value):
    assert f"providers[1].models[0].{field}: is " in only_problem(with_model(f"price: unknown\n{field}: {value}"))


def test_an_answer_cannot_be_larger_than_the_window(only_problem):
    problem = only_problem(with_model("price: unknown\ncontext_window: 10\nmax_output_tokens: 11"))
    assert "max_output_tokens: is larger than context_window" in problem


def test_two_providers_of_one_name(only_problem):
    text = BOTH + "  - {name: groq, model: other, cost_per_1k_tokens: 1}\n"
    assert "providers[2].name: is also the name of providers[0]; list all its models there" in only_problem(text)


def test_one_candidate_listed_twice(only_problem):
    text = "providers: [{name: groq, models: [llama-3.1-8b-instant, llama-3.1-8b-instant]}]"
    assert "providers[0].models[1].name: 'groq/llama-3.1-8b-instant' is listed twice" in only_problem(text)


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ("strategy: fastest", "routes.auto.candidates", "is missing"),
        ("candidates:", "routes.auto.candidates", "is empty"),
        ("candidates: []", "routes.auto.candidates", "is an empty list"),
        ("candidates: groq/llama-3.1-8b-instant", "routes.auto.candidates", "is text; write a list"),
        ("candidates: [[a]]", "routes.auto.candidates[0]", "is no name"),
        ("candidates: [groq/llama]", "routes.auto.candidates[0]", "'groq/llama' is no candidate of this file"),
        ("candidates: [groq/llama-3.1-8b-instan]", "routes.auto.candidates[0]", "did you mean 'groq/llama-3.1-8b-in"),
        ("candidates: [gpt-4o-mini]", "routes.auto.candidates[0]", "did you mean 'openai/gpt-4o-mini'?"),
        ("candidates: [zzz]", "routes.auto.candidates[0]", "known: 'groq/llama-3.1-8b-instant', 'openai/gpt-4o-mini'"),
        (
            "candidates: [openai/gpt-4o-mini, openai/gpt-4o-mini]",
            "routes.auto.candidates[1]",
            "is listed twice",
        ),
        (
            "candidates: [openai/gpt-4o-mini]\nstrategy: dearest",
            "routes.auto.strategy",
            "cheapest, fastest or priority",
        ),
        ("candidates: [openai/gpt-4o-mini]\ndelivery: fast", "routes.auto.delivery", "verified or live"),
        ("candidates: [openai/gpt-4o-mini]\noptimize: max", "routes.auto.optimize", "off, safe or trim"),
        ("candidates: [openai/gpt-4o-mini]\noptimize: false", "routes.auto.optimize", "is false"),
        ("candidates: [openai/gpt-4o-mini]\nmax_prompt_tokens: 0", "routes.auto.max_prompt_tokens", "is 0"),
        ("candidates: [openai/gpt-4o-mini]\nbaseline: openai/o9", "routes.auto.baseline", "is no candidate"),
        ("candidates: [openai/gpt-4o-mini]\non_content_filter: retry", "routes.auto.on_content_filter", "fail or next"),
        ("candidates: [openai/gpt-4o-mini]\ntimeout_s: 0", "routes.auto.timeout_s", "is 0"),
        ("candidates: [openai/gpt-4o-mini]\ntimeout_s: 1.5", "routes.auto.timeout_s", "is less than 2"),
        ("candidates: [openai/gpt-4o-mini]\ntimeout_s: 3600", "routes.auto.timeout_s", "is more than 900"),
        ("candidates: [openai/gpt-4o-mini]\nmax_wait_s: -1", "routes.auto.max_wait_s", "is negative"),
        ("candidates: [openai/gpt-4o-mini]\nstrategie: cheapest", "routes.auto", "did you mean strategy?"),
    ],
)
def test_routes_that_are_refused(only_problem, fields, place, words):
    problem = only_problem(with_route(fields))
    assert f", {place}: " in problem
    assert words in problem


@pytest.mark.parametrize("name", ["a/b", "'a b'", "''", "'" + "a" * 65 + "'"])
def test_a_routes_name_cannot_be_mistaken_for_a_candidate(only_problem, name):
    assert "is no name for a route" in only_problem(with_route("candidates: [openai/gpt-4o-mini]", name=name))


@pytest.mark.parametrize(("name", "place"), [("'a b'", "routes.a b"), ("'a;b'", "routes.(name)")])
def test_what_stands_under_a_wrong_name_is_reported_with_it(problems, name, place):
    found = problems(with_route("candidates: [openai/o9]\nstrategy: luck", name=name))
    assert len(found) == 3, found
    assert "is no name for a route" in found[0]
    assert f"{place}.candidates[0]: 'openai/o9' is no candidate" in found[1]
    assert f"{place}.strategy: is 'luck'" in found[2]


def test_a_route_is_not_blamed_for_a_providers_fault(only_problem):
    text = """\
        providers:
          - name: groq
            models: [{name: special, price: -1}]
        routes: {auto: {candidates: [groq/special]}}
        """
    assert "providers[0].models[0].price" in only_problem(text)


# Files.


def test_a_file_is_loaded(catalogue, tmp_path):
    file = tmp_path / "providers.yaml"
    file.write_text("\ufeff" + BOTH, encoding="utf-8")
    assert len(configuration.load(file, catalogue=catalogue).candidates) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "it cannot be read (No such file or directory); check the path"),
        (BOTH.encode("utf-16"), "it is not UTF-8 text"),
        (b"a" * 400_000, "it is larger than 256 kB"),
        ("ä".encode() * 200_000, "it is larger than 256 kB"),
    ],
)
def test_a_file_that_cannot_be_read(catalogue, tmp_path, content, words):
    file = tmp_path / "providers.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        configuration.load(file, catalogue=catalogue)
    assert caught.value.source == str(file)
    assert words in str(caught.value)


def test_a_folder_is_no_file(catalogue, tmp_path):
    with pytest.raises(ConfigurationError, match=r"cannot be read \(Is a directory\)"):
        configuration.load(tmp_path, catalogue=catalogue)


def test_the_deployed_file_is_whole_and_priced_by_the_shipped_catalogue():
    loaded = configuration.load(REPOSITORY / "layers/config/providers.yaml", catalogue=Catalogue())
    assert loaded.notices == ()
    assert {candidate.provider.name for candidate in loaded.candidates} == {"groq", "openai"}
    assert all(candidate.price and candidate.price.source != "configuration" for candidate in loaded.candidates)
    assert all(candidate.context_window for candidate in loaded.candidates)
    assert set(loaded.routes["auto"].candidates) == set(loaded.candidates)


def test_the_example_of_a_service_of_ones_own_in_the_deployed_file_works(catalogue):
    lines = (REPOSITORY / "layers/config/providers.yaml").read_text().splitlines()
    start = lines.index("#   - name: mine")
    example = [
        line.removeprefix("#")
        for line in lines[start : lines.index("#", start + 1) if "#" in lines[start + 1 :] else None]
    ]
    (candidate,) = configuration.parse("providers:\n" + "\n".join(example), source="x", catalogue=catalogue).candidates
    assert candidate.name == "mine/my-model"
