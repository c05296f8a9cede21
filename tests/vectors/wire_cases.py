"""The wire vectors, spelled by hand: what is read, what is refused, and why."""

from typing import Any

DIGEST = "0123456789abcdef" * 4
ONE = '{"cluster":[],"n_rows":120,"values":[120.0,47.0,-0.25]}'
NONE = '{"delta":0.0,"epsilon":"inf","mechanism":"none","relation":"none"}'
HIDDEN = (
    '{"delta":1e-06,"epsilon":1.0,"mechanism":"discrete gaussian",'
    '"relation":"add_remove"}'
)
SOFTWARE = "fedglmm-flower 0.1.0"


def release(**parts: str) -> str:
    """A release of which some fields are spelled differently."""
    fields = {
        "clusters": f"[{ONE}]",
        "format": '"fedglmm-release/1"',
        "n_missing": "3",
        "order": "4",
        "release_set": '"canonical"',
        "site": '"site a"',
        "software": f'"{SOFTWARE}"',
        "spent": NONE,
        "study_digest": f'"{DIGEST}"',
        **parts,
    }
    return "{" + ",".join(f'"{key}":{fields[key]}' for key in sorted(fields)) + "}"


def clusters(*entries: tuple[str, str, str]) -> str:
    """A list of clusters: names, rows and values as spelled."""
    return (
        "["
        + ",".join(
            f'{{"cluster":{names},"n_rows":{rows},"values":{values}}}'
            for names, rows, values in entries
        )
        + "]"
    )


def values(spelled: str) -> str:
    """A release with these values, as spelled."""
    return release(clusters=clusters(("[]", "120", f"[{spelled}]")))


def spent(delta: str, epsilon: str, mechanism: str, relation: str) -> str:
    """A release that cost this much."""
    fields = (
        f'"delta":{delta},"epsilon":{epsilon},'
        f'"mechanism":"{mechanism}","relation":"{relation}"'
    )
    return release(spent="{" + fields + "}")


def noisy(rows: str = "null", **parts: str) -> str:
    """A release with noise of which some parts are spelled differently."""
    noise = {
        "bits": "20",
        "norm": "1.5",
        "rho": "0.0243",
        "scale": "7126000.5",
        "unit": '"row"',
        "weights": "[0.5,0.25,1.0]",
        **parts,
    }
    spelled = ",".join(f'"{key}":{noise[key]}' for key in sorted(noise))
    one = f'{{"cluster":[],"n_rows":{rows},"noisy_rows":119.25,"values":[0.5,-12.0]}}'
    return release(
        clusters=f"[{one}]", n_missing="null", noise=f"{{{spelled}}}", spent=HIDDEN
    )


GOOD = {
    "exact release": release(),
    "counts hidden by the mechanism": noisy(),
    "noise for whole patients": noisy(unit='"unit"', bits="0"),
    "a count that the relation holds public": noisy("120").replace(
        "add_remove", "zero_out"
    ),
    "clusters inside the site": release(
        clusters=clusters(('["c1"]', "60", "[60.0]"), ('["c2","w"]', "0", "[0.0]"))
    ),
    "clusters that were pooled": release(
        clusters=clusters(
            ('["(remainder)"]', "70", "[70.0]"), ('["c1"]', "60", "[60.0]")
        ),
        small_clusters='{"clusters":3,"n_rows":70,"treatment":"pooled"}',
    ),
    "clusters that were left out": release(
        small_clusters='{"clusters":1,"n_rows":null,"treatment":"left_out"}'
    ),
    "names in many scripts": release(
        site='"Zürich 中心 \U0001f3e5 \\"Ost\\" \\\\ e\u0301"'
    ),
    "a name of 200 characters": release(site='"' + "n" * 200 + '"'),
    "floats of every size": values(
        "5e-324,2.2250738585072014e-308,0.1,0.30000000000000004,1e+16,"
        "9007199254740992.0,123456789.125,-1.7976931348623157e+308,1e-05,0.0001"
    ),
    "no statistic at all": values(""),
    "highest order": release(order="12"),
    "largest count": release(n_missing=str(2**53 - 1)),
}

# name -> (message, phrase of the error)
BAD = {
    "small clusters of no kind": (
        release(small_clusters='{"clusters":1,"n_rows":9,"treatment":"hidden"}'),
        "another treatment",
    ),
    "no small clusters, said": (release(small_clusters="null"), "null was found"),
    "no small cluster among them": (
        release(small_clusters='{"clusters":0,"n_rows":0,"treatment":"pooled"}'),
        "out of bounds",
    ),
    "empty": ("", "not JSON"),
    "null": ("null", "null was found"),
    "a list": ("[]", "a list was found"),
    "byte order mark": ("\ufeff" + release(), "not JSON"),
    "truncated": (release()[:-1], "not JSON"),
    "text after the end": (release() + "x", "not JSON"),
    "second message after the end": (release() * 2, "not JSON"),
    "newline at the end": (release() + "\n", "non-canonical"),
    "space": (release().replace(":", ": ", 1), "non-canonical"),
    "keys not sorted": (
        '{"site":"site a",' + release().replace('"site":"site a",', "")[1:],
        "non-canonical",
    ),
    "the same key twice": (
        release().replace('"order":4', '"order":4,"order":4'),
        "non-canonical",
    ),
    "escape of a printable character": (
        release(site='"\\u0073ite a"'),
        "non-canonical",
    ),
    "escape of a letter beyond ASCII": (release(site='"Z\\u00fcrich"'), "non-canon"),
    "escaped solidus": (release(site='"a\\/b"'), "non-canonical"),
    "escaped lone surrogate": (release(site='"\\ud800"'), "not Unicode"),
    "exponent for nothing": (values("1.0e0"), "non-canonical"),
    "capital exponent": (values("1E+16"), "non-canonical"),
    "trailing zero": (values("1.50"), "non-canonical"),
    "more digits than a float has": (values("0.1000000000000000055"), "non-canonical"),
    "negative zero": (values("-0.0"), "non-canonical"),
    "negative integer zero": (release(n_missing="-0"), "non-canonical"),
    "not a number": (values("NaN"), "not finite"),
    "infinity": (values("Infinity"), "not finite"),
    "negative infinity": (values("-Infinity"), "not finite"),
    "infinity by overflow": (values("1e999"), "not finite"),
    "an integer of 5000 digits": (release(n_missing="9" * 5000), "too long"),
    "nested 33 levels": ("[" * 33 + "]" * 33, "nesting deeper"),
    "nested 100000 levels": ("[" * 100_000, "nesting deeper"),
    "newer version": (
        release(format='"fedglmm-release/2"'),
        "format 'fedglmm-release/2' was found; the known format 'fedglmm-release/1'",
    ),
    "a result for a release": (
        '{"format":"fedglmm-result/1","result":{}}',
        "format 'fedglmm-result/1' was found",
    ),
    "no format": ('{"site":"a"}', "no format was found"),
    "format of another type": (release(format="1"), "no format was found"),
    "a key too few": (release().replace('"order":4,', ""), "no key 'order'"),
    "a key too many": (release(zz="1"), "unknown key"),
    "a key too many in a cluster": (
        release(clusters=f'[{ONE[:-1]},"y":1}}]'),
        "unknown key",
    ),
    "a key too few in the cost": (release(spent="{}"), "no key 'delta'"),
    "cost of another type": (release(spent="[]"), "release, spent: a list"),
    "empty site name": (release(site='""'), "text of 0 characters"),
    "site name of 201 characters": (release(site='"' + "n" * 201 + '"'), "201 char"),
    "newline in a name": (release(site='"a\\nb"'), "control character (U+000A)"),
    "delete in a name": (release(site='"a\x7f"'), "control character (U+007F)"),
    "line separator in a name": (release(site='"a\u2028"'), "(U+2028)"),
    "reordering mark in a name": (release(site='"a\u202eb"'), "(U+202E)"),
    "site name of another type": (release(site="7"), "a whole number was found"),
    "digest too short": (release(study_digest=f'"{DIGEST[:-1]}"'), "no digest"),
    "digest in capitals": (release(study_digest=f'"{DIGEST.upper()}"'), "no digest"),
    "digest with a newline": (release(study_digest=f'"{DIGEST}\\n"'), "no digest"),
    "order zero": (release(order="0"), "out of bounds"),
    "order thirteen": (release(order="13"), "out of bounds"),
    "order true": (release(order="true"), "true or false was found"),
    "order as a float": (release(order="4.0"), "a decimal number was found"),
    "negative rows": (release(clusters=clusters(("[]", "-1", "[]"))), "out of bounds"),
    "rows true": (release(clusters=clusters(("[]", "true", "[]"))), "true or false"),
    "rows as text": (release(clusters=clusters(("[]", '"9"', "[]"))), "text was"),
    "count beyond 2^53": (release(n_missing=str(2**53)), "out of bounds"),
    "no cluster": (release(clusters="[]"), "an empty list"),
    "one cluster twice": (
        release(clusters=clusters(('["c"]', "9", "[]"), ('["c"]', "9", "[]"))),
        "one cluster twice",
    ),
    "clusters of different lengths": (
        release(clusters=clusters(('["c"]', "9", "[1.0]"), ('["d"]', "9", "[]"))),
        "different numbers of values",
    ),
    "cluster name as text": (release(clusters=clusters(('"c"', "9", "[]"))), "text w"),
    "cluster with an empty name": (
        release(clusters=clusters(('[""]', "9", "[]"))),
        "text of 0 characters",
    ),
    "value as an integer": (values("1"), "a whole number was found"),
    "value true": (values("true"), "true or false was found"),
    "value null": (values("null"), "null was found"),
    "value as text": (values('"inf"'), "text was found"),
    "values as an object": (release(clusters=clusters(("[]", "1", "{}"))), "an object"),
    "negative epsilon": (spent("0.0", "-1.0", "x", "zero_out"), "negative epsilon"),
    "delta above one": (spent("1.5", "1.0", "x", "zero_out"), "delta outside"),
    "epsilon in another spelling": (spent("0.0", '"INF"', "x", "zero_out"), "text was"),
    "unknown relation": (spent("0.0", "1.0", "x", "other"), "another relation"),
    "an exact count under a relation that hides it": (noisy("120"), "an exact count"),
    "dropped rows beside noise": (
        noisy().replace('"n_missing":null', '"n_missing":0'),
        "an exact count beside noise",
    ),
    "pooled clusters beside noise": (
        noisy().replace(
            '"software"',
            '"small_clusters":{"clusters":1,"n_rows":null,"treatment":"left_out"},'
            '"software"',
        ),
        "an exact count beside noise",
    ),
    "noise without a mechanism": (
        noisy().replace(HIDDEN, NONE),
        "noise without a mechanism",
    ),
    "a mechanism without noise": (
        release(spent=HIDDEN, n_missing="null"),
        "noise without a mechanism",
    ),
    "a noisy count without noise": (
        release(clusters='[{"cluster":[],"n_rows":1,"noisy_rows":1.0,"values":[]}]'),
        "an unknown key",
    ),
    "noise without a noisy count": (
        noisy().replace('"noisy_rows":119.25,', ""),
        "no key 'noisy_rows'",
    ),
    "a noisy count that is whole": (
        noisy().replace("119.25", "119"),
        "a whole number was found",
    ),
    "too few weights": (noisy(weights="[0.5,0.25]"), "another number of weights"),
    "no weight": (noisy(weights="[]"), "another number of weights"),
    "weights that are no list": (noisy(weights="1.0"), "a decimal number was found"),
    "a weight of zero": (noisy(weights="[0.5,0.0,1.0]"), "not positive"),
    "a negative weight": (noisy(weights="[0.5,-1.0,1.0]"), "not positive"),
    "a scale of zero": (noisy(scale="0.0"), "not positive"),
    "a negative rho": (noisy(rho="-1.0"), "not positive"),
    "an endless norm": (noisy(norm='"inf"'), "text was found"),
    "a step finer than any": (noisy(bits="41"), "out of bounds"),
    "bits that are no whole number": (noisy(bits="20.0"), "a decimal number was"),
    "a unit of another kind": (noisy(unit='"ward"'), "another unit"),
    "a unit that is a list": (noisy(unit="[]"), "another unit"),
    "noise with a part more": (noisy(seed="1"), "an unknown key"),
    "noise that is null": (
        release(
            clusters='[{"cluster":[],"n_rows":null,"noisy_rows":1.0,"values":[]}]',
            spent=HIDDEN,
            noise="null",
            n_missing="null",
        ),
        "null was found",
    ),
    "no mechanism with a finite epsilon": (
        spent("0.0", "1.0", "none", "none"),
        "contradiction",
    ),
    "a mechanism with an infinite epsilon": (
        spent("0.0", '"inf"', "discrete gaussian", "zero_out"),
        "contradiction",
    ),
}

GOOD_RESULT = {
    "empty result": '{"format":"fedglmm-result/1","result":{}}',
    "result with a table": '{"format":"fedglmm-result/1","result":{"converged":true,'
    '"fixed":[{"estimate":-0.5,"name":"Intercept","p":null}],"n_sites":3}}',
}
BAD_RESULT = {
    "a release for a result": (release(), "format 'fedglmm-release/1' was found"),
    "a result that is a list": (
        '{"format":"fedglmm-result/1","result":[]}',
        "a list was found",
    ),
    "a result with a key too many": (
        '{"format":"fedglmm-result/1","result":{},"z":1}',
        "unknown key",
    ),
    "a result with NaN": ('{"format":"fedglmm-result/1","result":{"x":NaN}}', "finite"),
}


POINT = '"nodes":1,"number":2,"values":[0.5,-1.25]'


def point(values: str = "[0.5,-1.25]", nodes: str = "1", number: str = "2") -> str:
    """A point of which some fields are spelled differently."""
    fields = f'"nodes":{nodes},"number":{number},"values":{values}'
    return f'{{"format":"fedglmm-point/1",{fields}}}'


def score(**parts: str) -> str:
    """A score of which some fields are spelled differently."""
    fields = {
        "format": '"fedglmm-score/1"',
        "gradient": "[0.125,-3.0]",
        "information": "[40.0,2.5,31.0]",
        "n_rows": "120",
        "point": f"{{{POINT}}}",
        "site": '"site a"',
        "software": f'"{SOFTWARE}"',
        "study_digest": f'"{DIGEST}"',
        "value": "-61.5",
        **parts,
    }
    return "{" + ",".join(f'"{key}":{fields[key]}' for key in sorted(fields)) + "}"


GOOD_POINT = {
    "a point": point(),
    "a point of quadrature": point(nodes="25", number="1000"),
}
BAD_POINT = {
    "a point of no parameters": (point(values="[]"), "0 parameters"),
    "a point with a whole number": (point(values="[1]"), "finite decimal"),
    "a point of no nodes": (point(nodes="0"), "out of bounds"),
    "a point of too many nodes": (point(nodes="201"), "out of bounds"),
    "a point without a number": (point(number="null"), "whole number"),
    "a point of true": (point(values="[true]"), "finite decimal"),
    "a point of another format": (point().replace("point/1", "point/2"), "format"),
    "a point with more": (point().replace("}", ',"x":1}'), "unknown key"),
}
GOOD_SCORE = {
    "a score": score(),
    "an information that is not definite": score(information="[-1.0,0.0,0.0]"),
}
BAD_SCORE = {
    "a score of no rows": (score(n_rows="0"), "out of bounds"),
    "a short gradient": (score(gradient="[0.125]"), "gradient of 1"),
    "a full information": (score(information="[4.0,2.5,2.5,3.0]"), "information of 4"),
    "a score of NaN": (score(value="NaN"), "not finite"),
    "a score of null": (score(value="null"), "finite decimal"),
    "a score in text": (score(value='"-61.5"'), "finite decimal"),
    "a score of a bare point": (score(point="[0.5]"), "an object is"),
    "a score without a site": (score(site='""'), "characters"),
    "a score of no study": (score(study_digest='"12"'), "digest"),
    "a score that is a release": (release(), "format"),
}


def wire_vectors() -> list[dict[str, Any]]:
    """All of the above, and bytes that are no text, in the form of the file."""
    found: list[dict[str, Any]] = []
    for codec, good, bad in (
        ("release", GOOD, BAD),
        ("result", GOOD_RESULT, BAD_RESULT),
        ("point", GOOD_POINT, BAD_POINT),
        ("score", GOOD_SCORE, BAD_SCORE),
    ):
        found += [
            {"name": name, "codec": codec, "outcome": "ok", "text": text}
            for name, text in good.items()
        ]
        found += [
            {"name": name, "codec": codec, "outcome": "refused", "says": says}
            | ({"text": text} if len(text) < 10_000 else {"repeat": [text[0], 100_000]})
            for name, (text, says) in bad.items()
        ]
    for name, data in (
        ("Latin-1", release(site='"Zürich"').encode("latin-1")),
        ("encoded surrogate", release().encode().replace(b"site a", b"\xed\xa0\x80")),
        ("overlong encoding", release().encode().replace(b"site a", b"\xc1\xa1")),
        ("UTF-16", release().encode("utf-16")),
    ):
        refused = {"outcome": "refused", "says": "not UTF-8"}
        found.append({"name": name, "codec": "release", **refused, "hex": data.hex()})
    return found
