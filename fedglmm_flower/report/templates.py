"""The page as templates.  Modules, for Flower bundles no other kinds of files."""

PAGE = """\
{%- import "parts" as parts -%}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{{ view.heading }} - federated mixed model</title>
<style>{{ css }}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the result</a>
<header>
<h1><bdi>{{ view.heading }}</bdi></h1>
<p class="model">{{ view.model }}</p>
</header>
{%- if contents %}
<nav aria-label="Contents"><ul>
{%- for key, name in contents %}
<li><a href="#{{ key }}">{{ name }}</a></li>
{%- endfor %}
</ul></nav>
{%- endif %}
<main id="content">
<section class="verdict {{ view.grade }}" aria-labelledby="verdict">
<h2 id="verdict">{{ view.verdict }}</h2>
<p>{{ view.accuracy[:1] | upper }}{{ view.accuracy[1:] }}.</p>
{%- if view.warnings or view.absent %}
<ul>
{%- for text in view.warnings %}
<li>{{ text }}</li>
{%- endfor %}
{%- for text in view.absent %}
<li>{{ text }}</li>
{%- endfor %}
</ul>
{%- endif %}
</section>
<section aria-labelledby="question">
<h2 id="question">Question</h2>
<p>{{ view.question }}</p>
<pre><code>{{ view.formula }}</code></pre>
<p class="note">As an equation</p>
<pre>{% for line in view.equation %}{{ line }}
{% endfor %}</pre>
</section>
<section aria-labelledby="effects">
<h2 id="effects">Fixed effects</h2>
{%- if forest %}{{ parts.forest(forest) }}{% endif %}
{{ parts.table(view.fixed) }}
<p class="note">Intervals are Wald intervals. The approximation error is how far an
estimate may be from a fit of the pooled rows of the sites used; it is no part of the
interval.</p>
</section>
<section aria-labelledby="components">
<h2 id="components">Variation between sites</h2>
{{ parts.table(view.random) }}
{%- for figure in caterpillars %}
{{ parts.caterpillar(figure) }}
{%- endfor %}
</section>
<section aria-labelledby="sites">
<h2 id="sites">Sites</h2>
{{ parts.table(view.sites) }}
</section>
<section aria-labelledby="privacy">
<h2 id="privacy">Privacy</h2>
{%- if view.privacy %}
{{ parts.table(view.privacy, "words") }}
{%- if view.budgets %}{{ parts.table(view.budgets) }}{% endif %}
{%- else %}
<p>No noise was added: the sums are protected by encryption on their way and by each
site's disclosure policy, and not by differential privacy. The coordinator has seen the
sums of each site, where more rounds followed its log-likelihood with gradient and
Hessian at their points, and no row.</p>
{%- endif %}
</section>
<section aria-labelledby="diagnostics">
<h2 id="diagnostics">Diagnostics</h2>
{{ parts.table(view.diagnostics, "words") }}
</section>
<section aria-labelledby="provenance">
<h2 id="provenance">Provenance</h2>
{{ parts.table(view.provenance, "words") }}
{%- for what, command in view.commands %}
<p>{{ what }}:</p>
<pre><code>{{ command }}</code></pre>
{%- endfor %}
</section>
</main>
<footer><p>Made by fedglmm-flower from <code>result.json</code>. This page loads
nothing and runs no script.</p></footer>
</body>
</html>
"""

PARTS = """\
{%- macro table(table, kind="") %}
<div class="scroll" role="region" tabindex="0" aria-label="{{ table.caption }}, table">
<table{% if kind %} class="{{ kind }}"{% endif %}>
<caption>{{ table.caption }}</caption>
<thead><tr>
{%- for head in table.heads %}<th scope="col">{{ head }}</th>{% endfor -%}
</tr></thead>
<tbody>
{%- for row in table.rows %}
<tr><th scope="row"><bdi>{{ row[0] }}</bdi></th>
{%- for cell in row[1:] %}<td>{{ cell }}</td>{% endfor -%}
</tr>
{%- endfor %}
</tbody>
</table>
</div>
{%- endmacro %}

{%- macro open(figure) %}
<figure>
<svg viewBox="0 0 400 {{ figure.height }}" role="img"
 aria-labelledby="{{ figure.key }}-title {{ figure.key }}-text">
<title id="{{ figure.key }}-title">{{ figure.title }}</title>
<desc id="{{ figure.key }}-text">{{ figure.description }}</desc>
{%- set zero = figure.axis.place(0.0) %}
{%- set base = figure.height - 36 %}
{%- for tick in figure.axis.ticks %}
<line class="grid" x1="{{ tick.x }}" x2="{{ tick.x }}" y1="14" y2="{{ base }}"/>
<text class="quiet" x="{{ tick.x }}" y="{{ base + 14 }}" text-anchor="middle">
{{- tick.text }}</text>
{%- endfor %}
<line class="none" x1="{{ zero }}" x2="{{ zero }}" y1="14" y2="{{ base }}"/>
<text class="quiet" x="{{ (figure.axis.left + figure.axis.right) / 2 }}"
 y="{{ base + 30 }}" text-anchor="middle">{{ figure.axis_title }}</text>
{%- endmacro %}

{%- macro interval(line, extra="") %}
<line class="interval {{ extra }}" x1="{{ line.low }}" x2="{{ line.high }}"
 y1="{{ line.y }}" y2="{{ line.y }}"/>
{%- if line.from_below %}
<path class="arrow" d="M{{ line.low - 6 }} {{ line.y }}l8 -4v8z"/>
{%- endif %}
{%- if line.from_above %}
<path class="arrow" d="M{{ line.high + 6 }} {{ line.y }}l-8 -4v8z"/>
{%- endif %}
{%- endmacro %}

{%- macro forest(figure) %}
{{- open(figure) }}
{%- for line in figure.lines %}
<text x="8" y="{{ line.y - 11 }}">{{ line.label }}</text>
<text x="392" y="{{ line.y - 11 }}" text-anchor="end">{{ line.text }}</text>
{{- interval(line) }}
<circle class="point" cx="{{ line.x }}" cy="{{ line.y }}" r="4.2"/>
{%- if line.reference is not none %}
<path class="other" d="M{{ line.reference }} {{ line.y + 4 }}l4.5 5l-4.5 5l-4.5 -5z"/>
{%- endif %}
{%- endfor %}
</svg>
<figcaption>{{ figure.title }}. The dashed line marks no effect.
{%- if figure.has_reference %} Diamonds below the lines: fit of the pooled rows.
{%- endif %}</figcaption>
</figure>
{%- endmacro %}

{%- macro caterpillar(figure) %}
{{- open(figure) }}
{%- for line in figure.lines %}
{%- if figure.labelled %}
<text class="name" x="{{ figure.axis.left - 6 }}" y="{{ line.y + 3.6 }}"
 text-anchor="end">{{ line.label }}</text>
{%- endif %}
{{- interval(line, "thin") }}
<circle class="point" cx="{{ line.x }}" cy="{{ line.y }}" r="2.6"/>
{%- endfor %}
</svg>
<figcaption>{{ figure.title }}. {{ figure.description }}.</figcaption>
</figure>
{%- endmacro %}
"""

NOTEBOOK = """\
{%- import "parts" as parts -%}
<div class="fedglmm">
<p><strong>{{ view.verdict }}</strong><br>{{ view.model }}<br>
<code>{{ view.formula }}</code><br>{{ view.accuracy }}</p>
{%- if view.warnings %}
<ul>{% for text in view.warnings %}<li>{{ text }}</li>{% endfor %}</ul>
{%- endif %}
{{ parts.table(view.fixed) }}
{{ parts.table(view.random) }}
</div>
"""
