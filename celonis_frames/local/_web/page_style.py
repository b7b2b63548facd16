"""The looks of the page: in the colours of the browser, dark or light, from phones upwards."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent);
  --good: #137333; --fair: #9a5b00; --bad: #c5221f }
@media (prefers-color-scheme: dark) { :root { --good: #81c995; --fair: #fdd663; --bad: #f28b82 } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 72rem; padding: 0 1rem;
  overflow-wrap: anywhere }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid var(--line) }
h2 small, h3 small, summary small { font-weight: 400; font-size: .82rem }
details { margin: .4rem 0 } summary { cursor: pointer; font-weight: 600 }
.scroll { overflow-x: auto; max-width: 100% } small, .quiet { opacity: .7 }
nav a { margin-right: .9rem; white-space: nowrap }
table { border-collapse: collapse; margin: .4rem 0; font-size: .87rem }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line);
  max-width: 22rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
td.number { text-align: right } td.words { white-space: normal; min-width: 12rem }
pre { font-size: .8rem; overflow-x: auto; overflow-wrap: normal; padding: .5rem .7rem;
  border-left: 3px solid var(--line) }
.null { opacity: .45 } form { display: inline }
.DONE, .SUCCESS, .INGESTED { color: var(--good) } .WARNING, .PENDING { color: var(--fair) }
.ERROR, .CANCELED, .FAILED, .FAIL, .LOST_CONNECTION { color: var(--bad) }
@media (max-width: 40rem) { body { margin: .8rem auto; padding: 0 .7rem } th, td { max-width: 60vw } }
"""
