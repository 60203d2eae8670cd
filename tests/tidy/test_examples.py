"""Every Python block in README.md and docs/ is Python."""

from __future__ import annotations

import pytest

from tests.tidy.examples import Example, examples, examples_in


@pytest.mark.parametrize("example", examples(), ids=str)
def test_an_example_compiles(example: Example) -> None:
    example.compiled()


DOCUMENT = """\
# Title

```python
async with a as b:
    await b
```

```sh
not python
```

- in a list:

  ```python run
  x = 1
  ```

~~~python
>>> 1 + 1
2
~~~
"""


def test_examples_are_found_where_they_stand() -> None:
    first, second, third = examples_in("doc.md", DOCUMENT)
    assert str(first) == "doc.md:4"
    assert first.code == "async with a as b:\n    await b\n"
    assert (str(second), second.code, second.runs) == ("doc.md:15", "x = 1\n", True)
    assert third.code.startswith("1 + 1\n")
    assert [one.runs for one in (first, third)] == [False, False]
    for one in (first, second, third):
        one.compiled()


def test_what_is_not_python_is_refused_at_its_line() -> None:
    (example,) = examples_in("doc.md", "\n\n```python\nx = 1\nif x\n```\n")
    with pytest.raises(SyntaxError) as caught:
        example.compiled()
    assert (caught.value.filename, caught.value.lineno) == ("doc.md", 5)
