"""Tests of elision.policies.text_kinds. All samples were written for these tests."""

# ruff: noqa: E501 - a sample is easier to read in few lines

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.model import TextKind
from elision.policies.text_kinds import WINDOW, WINDOW_LINES, plain_lines, text_kind

PARAGRAPH = (
    "The ferry left late because the harbour had frozen over, and by the time it reached the other side "
    "most of us had agreed that the meeting could wait. Nobody had told the office."
)

PROSE = {
    "one line": "Hello, could you tell me when the library opens?",
    "paragraph": PARAGRAPH,
    "paragraphs": f"{PARAGRAPH}\n\n{PARAGRAPH}\n\nWhat was agreed?",
    "hard-wrapped": "When the committee met in spring it was clear to all of its members\n"
    "that the bridge could not be repaired before winter, and that a new\n"
    "one, however dear, would have to be paid for by the two villages\n"
    "import duties had emptied; nobody said so aloud.",
    "markdown": "# Moving house\n\n## Before\n\n- Tell the bank, the school and the post office.\n"
    "- Measure the doors.\n- Ask friends whether they can help on the day.\n\n## After\n\n"
    "1. Read the meters.\n2. Change the locks.\n\n> Sleep first, unpack later.\n",
    "markdown with links": "The guide at [the wiki](https://wiki.example.org/a) explains how the cache works, "
    "and [this page](https://example.org/b) shows what it costs when it does not.",
    "fenced snippet": f"{PARAGRAPH}\n\n```python\ndef main() -> None:\n    print('hi')\n    return None\n```\n\n{PARAGRAPH}",
    "transcript": "[00:12:31] Anna: So where do we stand with the budget?\n"
    "[00:12:40] Ben: We are about ten percent over, mostly travel.\n"
    "[00:12:52] Anna: Then let us cancel the second workshop.\n[00:13:01] Ben: Fine with me.",
    "dialogue": "Customer: My parcel never came, and I have waited two weeks.\n"
    "Agent: I am sorry to hear that. Can you give me the number?\nCustomer: It is on the receipt somewhere.",
    "letter": "Dear Ms Okafor,\n\nthank you for coming in on Tuesday. We would like to offer you the post.\n\n"
    "Kind regards,\nJ. Lind",
    "choices": "What colour is the second chair from the left?\nOptions:\n(A) red\n(B) blue\n(C) green\n(D) black",
    "worked sums": "Tom sells 48/2 = <<48/2=24>>24 pens in May.\nIn all he sells 48+24 = 72 pens.\n#### 72",
    "legal list": "The tenant shall\n(a) pay the rent on the first day of each month;\n"
    "(b) keep the garden in good order; and\n(c) admit the landlord at reasonable times (by day).",
    "wrapped documents": f"<document>\n{PARAGRAPH} {PARAGRAPH}\n</document>\n<document>\n{PARAGRAPH}\n</document>",
    "search results": f"1. Ferries in winter\nhttps://example.org/ferries\n{PARAGRAPH}\n\n2. Ice\n"
    f"https://example.org/ice\n{PARAGRAPH}",
    "chinese": "会议决定推迟新桥的建设,因为两个村庄都无法承担费用。大家同意明年春天再讨论这个问题。",
    "japanese": "会議では、新しい橋の建設を来年の春まで延期することが決まりました。費用が高すぎるからです。",
    "russian": "Комитет решил отложить строительство моста, потому что у деревень не было денег на работы.",
    "arabic": "قررت اللجنة تأجيل بناء الجسر الجديد حتى الربيع القادم لأن القريتين لا تملكان المال.",
    "hindi": "समिति ने नए पुल का निर्माण अगले वसंत तक टालने का फैसला किया क्योंकि गाँवों के पास पैसा नहीं था।",
    "german": "Der Ausschuss hat beschlossen, den Bau der Brücke zu verschieben, weil beiden Dörfern das Geld fehlt.",
    "prose about code": "The function returns early if the list is empty, so the loop below never sees None. "
    "I would rather raise an error there, and say in the docstring why.",
    "numbers in prose": "Revenue rose by 12.4% to $1,204 million in 2023, against 8.1% and $1,071 million in 2022.",
    "empty": "",
    "blank": " \n\n\t\n",
}
CODE = {
    "python": "import os\nfrom pathlib import Path\n\n\ndef read(name: str) -> str:\n    path = Path(name)\n"
    "    if not path.exists():\n        raise FileNotFoundError(name)\n    return path.read_text()\n",
    "python with docstrings": '"""Counts the words of files, and says which are the longest of them."""\n\n'
    "import re\n\n\nclass Counter:\n    def __init__(self) -> None:\n        self.seen = {}\n\n"
    "    def add(self, word: str) -> None:\n        # A word that was seen before is counted again.\n"
    "        self.seen[word] = self.seen.get(word, 0) + 1\n",
    "javascript": "const express = require('express');\nconst app = express();\n\napp.get('/', (req, res) => {\n"
    "  res.send('hello');\n});\n\napp.listen(3000);\n",
    "typescript": "export interface User {\n  id: number;\n  name: string;\n}\n\n"
    "export async function load(id: number): Promise<User> {\n"
    "  const answer = await fetch(`/users/${id}`);\n  return answer.json();\n}\n",
    "react": "export function List({ items }) {\n  const [open, setOpen] = useState(false);\n  return (\n"
    "    <ul onClick={() => setOpen(!open)}>\n      {items.map((item) => <li key={item}>{item}</li>)}\n"
    "    </ul>\n  );\n}\n",
    "go": 'package main\n\nimport "fmt"\n\nfunc main() {\n\tfor i := 0; i < 3; i++ {\n\t\tfmt.Println(i)\n\t}\n}\n',
    "rust": 'use std::fs;\n\nfn main() -> std::io::Result<()> {\n    let text = fs::read_to_string("a.txt")?;\n'
    '    for line in text.lines() {\n        println!("{line}");\n    }\n    Ok(())\n}\n',
    "java": "public class Main {\n    private final int size;\n\n    public Main(int size) {\n        this.size = size;\n"
    "    }\n\n    public static void main(String[] args) {\n        System.out.println(args.length);\n    }\n}\n",
    "c": '#include <stdio.h>\n\nint main(void)\n{\n    int n = 0;\n    while (scanf("%d", &n) == 1) {\n'
    '        printf("%d\\n", n * 2);\n    }\n    return 0;\n}\n',
    "c++": "template <typename T>\nclass Stack {\npublic:\n    void push(const T& item) { items_.push_back(item); }\n"
    "private:\n    std::vector<T> items_;\n};\n",
    "c#": "using System;\n\nnamespace Shop\n{\n    public record Item(string Name, decimal Price);\n\n"
    "    public static class Program\n    {\n        public static void Main() => Console.WriteLine(1);\n    }\n}\n",
    "ruby": "require 'json'\n\nclass Basket\n  def initialize(items)\n    @items = items\n  end\n\n  def total\n"
    "    @items.sum { |item| item.price }\n  end\nend\n",
    "php": "<?php\n\nfunction total(array $items): float {\n    $sum = 0;\n    foreach ($items as $item) {\n"
    "        $sum += $item->price;\n    }\n    return $sum;\n}\n",
    "sql": "SELECT u.name, COUNT(*) AS orders\nFROM users u\nLEFT JOIN orders o ON o.user_id = u.id\n"
    "WHERE u.active = TRUE\nGROUP BY u.name\nORDER BY orders DESC;\n",
    "small sql": "select * from orders o\nwhere o.total > 100\ngroup by o.city\norder by 1;\n",
    "shell": '#!/bin/bash\nset -euo pipefail\n\nfor file in *.log; do\n  if [ -s "$file" ]; then\n'
    '    gzip "$file"\n  fi\ndone\necho "done"\n',
    "terminal": "$ git status\n$ git add README.md\n$ git commit -m 'Say more'\n$ git push origin main\n",
    "diff": "diff --git a/app.py b/app.py\nindex 3b18e51..a9f0c2d 100644\n--- a/app.py\n+++ b/app.py\n@@ -1,4 +1,4 @@\n"
    " import sys\n-print('hello')\n+print('hello', file=sys.stderr)\n",
    "css": ".card {\n  display: flex;\n  padding: 8px 12px;\n}\n\n.card:hover {\n  color: #333;\n}\n",
    "dockerfile": 'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nRUN pip install -e .\nCMD ["python", "-m", "app"]\n',
    "minified": '!function(e,t){var n=e.document;n.addEventListener("click",function(r){t(r);if(r.x){e.y=1}});'
    "var o=function(){return n.body};e.z=o();for(var i=0;i<9;i++){t(i)}}(window,console.log);",
    "only a fence": "```python\nimport sys\n\nfor line in sys.stdin:\n    print(line.strip())\n```",
    "one statement": "result = compute(items, key=lambda item: item.price)",
}
JSON = {
    "object": '{"name": "Ada", "born": 1815}',
    "pretty": '{\n  "users": [\n    {"id": 1, "name": "Ada"},\n    {"id": 2, "name": "Ben"}\n  ],\n  "next": null\n}',
    "array": "[1, 2, 3, 5, 8]",
    "strings": '["a", "b"]',
    "lines": '{"event": "open", "at": 1}\n{"event": "close", "at": 2}\n{"event": "open", "at": 3}\n',
    "truncated": '{\n  "items": [\n    {\n      "sku": "A-1",\n      "title": "Chair",\n      "price": 40\n    },\n    {\n'
    '      "sku": "A-2",\n      "titl',
    "introduced": 'Result:\n{\n  "status": "ok",\n  "rows": 3,\n  "took_ms": 12\n}',
    "python's way": "{'name': 'Ada', 'tags': ['a', 'b'], 'ok': True}",
    "prose inside": f'{{"title": "Ice", "body": "{PARAGRAPH}"}}',
}
MARKUP = {
    "html": "<!DOCTYPE html>\n<html>\n<head><title>Shop</title></head>\n<body>\n<h1>Shop</h1>\n"
    '<p class="lead">Open daily.</p>\n</body>\n</html>\n',
    "html with prose": f"<p>{PARAGRAPH}</p>\n<p>{PARAGRAPH}</p>\n<p>{PARAGRAPH}</p>\n",
    "html on one line": '<ul><li><a href="/a">One</a></li><li><a href="/b">Two</a></li><li>Three</li></ul>',
    "xml": '<?xml version="1.0"?>\n<order id="7">\n  <item sku="A1"><qty>2</qty></item>\n  <item sku="B2"/>\n</order>\n',
    "latex": "\\documentclass{article}\n\\begin{document}\n\\section{Ice}\n\\label{sec:ice}\n\\begin{itemize}\n"
    "\\item One\n\\item Two\n\\end{itemize}\n\\end{document}\n",
}
TABLE = {
    "csv": "id,name,city\n1,Ada,London\n2,Ben,Oslo\n3,Chen,Lima\n",
    "csv with text": 'id,review,stars\n1,"Good, but late",4\n2,"Broken on arrival, sadly",1\n3,"Fine",3\n',
    "csv with phrases": "city name;people;area in km\nNew York;8804190;778\nLos Angeles;3898747;1216\nSan Jose;1013240;461\n",
    "tsv": "name\tcity of birth\tyear\nAda King\tLondon\t1815\nBen Ali\tSousse\t1936\n",
    "markdown table": "| Plan | Price |\n|------|-------|\n| Small | 4 |\n| Large | 9 |\n",
    "aligned": "NAME         READY   STATUS    AGE\nweb-7d9f     1/1     Running   3d\ndb-0         1/1     Running   9d\n",
    "numbers": "0.12 0.55 0.31\n0.98 0.01 0.44\n0.23 0.67 0.10\n",
    "drawn": "┌──────┬─────┐\n│ name │ qty │\n├──────┼─────┤\n│ nail │ 100 │\n└──────┴─────┘\n",
}
LOG = {
    "timestamps": "2024-05-01 10:00:01,123 INFO started worker 3\n2024-05-01 10:00:02,456 WARN queue is long\n"
    "2024-05-01 10:00:07,001 ERROR worker 3 died\n",
    "iso": "2024-05-01T10:00:01.123Z starting\n2024-05-01T10:00:02.456Z listening on port 8080\n",
    "syslog": "May  1 10:00:01 host sshd[311]: Accepted publickey for ada\nMay  1 10:00:09 host sshd[311]: closed\n",
    "access": '10.0.0.7 - - [01/May/2024:10:00:01 +0000] "GET / HTTP/1.1" 200 512\n'
    '10.0.0.9 - - [01/May/2024:10:00:02 +0000] "GET /a HTTP/1.1" 404 12\n',
    "levels": "INFO: building index\nWARNING: 3 files were skipped\nERROR: index is empty\n",
    "logfmt": "level=info msg=started port=80\nlevel=error msg=timeout after=3s\n",
    "python trace": 'Traceback (most recent call last):\n  File "/app/main.py", line 12, in <module>\n    run()\n'
    '  File "/app/main.py", line 8, in run\n    raise ValueError("no rows")\nValueError: no rows\n',
    "java trace": 'Exception in thread "main" java.lang.NullPointerException: name is null\n'
    "\tat com.shop.Basket.add(Basket.java:31)\n\tat com.shop.Main.main(Main.java:9)\n",
    "node trace": "TypeError: Cannot read properties of undefined\n    at load (/app/src/load.js:10:15)\n"
    "    at async main (/app/src/main.js:4:3)\n",
}
CONFIG = {
    "yaml": "services:\n  web:\n    image: nginx:1.25\n    ports:\n      - 80:80\n    restart: always\n",
    "kubernetes": "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n    - port: 80\n",
    "ini": "[database]\nhost = localhost\nport = 5432\n\n[cache]\nsize = 100\n",
    "toml": '[project]\nname = "shop"\nversion = "1.2.0"\ndependencies = ["httpx>=0.27"]\n\n[tool.ruff]\nline-length = 100\n',
    "env": "DATABASE_URL=postgres://localhost/shop\nDEBUG=false\nexport SECRET_KEY=abc\n",
    "properties": "server.port=8080\nspring.datasource.url=jdbc:h2:mem\nlogging.level.root=INFO\n",
}
LINKS = {
    "urls": "https://example.org/a\nhttps://example.org/b?x=1\nhttps://example.org/c/d.html\n",
    "list": "- [Start](https://example.org/start)\n- [Guide](https://example.org/guide)\n- https://example.org/faq\n",
}
ENCODED = {
    "base64": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg"
    * 3,
    "wrapped base64": ("TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24sIGJ1dCBieSB0\n") * 6,
    "hex dump": "00000000  7f 45 4c 46 02 01 01 00 00 00 00 00 00 00 00 00\n"
    "00000010  03 00 3e 00 01 00 00 00 40 10 00 00 00 00 00 00\n",
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "data url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
    "pem": "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ\n"
    "RTESMBAGA1UEChMJQmFsdGltb3JlMRMwEQYDVQQLEwpDeWJlclRydXN0MSIwIAYD\n-----END CERTIFICATE-----\n",
}
CORPUS = {
    TextKind.PROSE: PROSE,
    TextKind.CODE: CODE,
    TextKind.JSON: JSON,
    TextKind.MARKUP: MARKUP,
    TextKind.TABLE: TABLE,
    TextKind.LOG: LOG,
    TextKind.CONFIG: CONFIG,
    TextKind.LINKS: LINKS,
    TextKind.ENCODED: ENCODED,
}
SAMPLES = [
    pytest.param(kind, text, id=f"{kind}: {name}")
    for kind, samples in CORPUS.items()
    for name, text in samples.items()
]


@pytest.mark.parametrize(("kind", "text"), SAMPLES)
def test_a_sample_is_what_it_is(kind: TextKind, text: str) -> None:
    """Each of the corpus's texts, as a prompt may hold it."""
    assert text_kind(text) is kind


@pytest.mark.parametrize(("kind", "text"), [sample for sample in SAMPLES if len(str(sample.values[1])) > 3])
def test_a_sample_stays_what_it_is_when_it_is_long(kind: TextKind, text: str) -> None:
    """Windows that begin and end anywhere see the same."""
    assert text_kind("\n".join([text] * (9000 // len(text) + 1))) is kind


def test_the_head_alone_does_not_decide() -> None:
    """A polite sentence before a file leaves it a file; a listing after three pages, prose."""
    file = CODE["python"] * 40
    assert text_kind(f"{PARAGRAPH}\n\n{file}") is TextKind.CODE
    pages = "\n\n".join([PARAGRAPH] * 60)
    assert text_kind(f"import os\nimport sys\n\n{pages}") is TextKind.PROSE


@pytest.mark.parametrize("fence", ["```", "~~~", "````"])
def test_a_document_with_much_fenced_code_is_prose(fence: str) -> None:
    """What is fenced is protected where it stands; the rest may be compressed."""
    block = f"{PARAGRAPH}\n\n{fence}python\n{CODE['python']}{fence}\n\n"
    assert text_kind(block * 30) is TextKind.PROSE


def test_a_sample_is_small() -> None:
    """However long the text is."""
    lines = plain_lines("x = 1\n" * 100_000)
    assert 0 < len(lines) <= 3 * WINDOW_LINES
    assert sum(map(len, plain_lines("word " * 100_000))) <= 3 * WINDOW


@pytest.mark.parametrize(
    "piece", ["{", "[", "<", "`", "```", "  ", "a,", "a:", "=", "\\", "(", "ab ", "\n", "<a ", "1 "]
)
def test_hostile_texts_end(piece: str) -> None:
    """A megabyte of anything gets a kind; the test's own time limit watches."""
    assert text_kind(piece * (1_000_000 // len(piece))) in TextKind


@given(st.text() | st.text(alphabet="{}[]<>()\"'`~=:;,.|#-+*/\\ \n\tab01…"))
def test_any_text_has_a_kind(text: str) -> None:
    """Nothing that a user may send is an error."""
    assert text_kind(text) in TextKind
