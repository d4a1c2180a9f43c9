"""Is an exercise file in order? What tests, CI and teachers go over it with, before it is run.

This is its form. Whether it tells right from wrong is tried in `grading.proof`.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ddpm_tutor.course.cells import Cell, cut, read_source
from ddpm_tutor.course.courses import course_of, own_course
from ddpm_tutor.course.exercise import Code, Exercise, Hint, problems_of_code, versions
from ddpm_tutor.course.questions import questions

MIN_HINTS = 2
MAX_SOLUTION_LINES = 10  # below the line with `def`
MAX_CHARACTERS = 110  # of the sentence that says what a mistake is
MAX_COLUMNS = 100  # of the learner's file
TITLE = re.compile(r"start|hint|solution|check|mistake \w+( draws| device)?")


def exercise_problems(exercise: Exercise) -> list[str]:
    """What is not in order, a line each; nothing of the exercise is run."""
    if broken := list(problems_of_code(exercise)):
        return broken  # the rest looks at its functions
    return [
        *problems_of_heading(exercise),
        *problems_of_titles(exercise),
        *problems_of_start(exercise),
        *problems_of_versions(exercise),
        *problems_of_hints(exercise),
        *problems_of_mistakes(exercise),
        *problems_of_check(exercise.check),
    ]


def problems_of_heading(exercise: Exercise) -> Iterator[str]:
    """Its number, and what it says of the lesson and the assignment."""
    heading = cut(read_source(exercise.path))[0].source.splitlines()[0]
    if not re.fullmatch(rf"# Exercise {exercise.number} · \S.*", heading):
        yield f'the first heading is not like "# Exercise {exercise.number} · What it is about"'
    lessons = [*course_of(exercise.path).lessons, *own_course().lessons]
    if exercise.lesson not in [str(lesson.number) for lesson in lessons]:
        yield f"there is no lesson {exercise.lesson}"
    asked = [q.part for lesson in lessons for q in questions(lesson)]
    if exercise.part and exercise.part not in asked:
        yield f"no lesson asks for part {exercise.part}"


def problems_of_titles(exercise: Exercise) -> Iterator[str]:
    """Cells that nothing would read, or two of one name."""
    cells = cut(read_source(exercise.path))
    for above, cell in pairwise(cells):
        if cell.kind == "code" and not TITLE.fullmatch(cell.title):
            yield f"line {cell.line - 1}: a cell can't be called {cell.title!r}"
        if is_hint(cell, "code") and not (is_hint(above, "markdown") and above.source.strip()):
            yield f"line {cell.line - 1}: this hint has no words: a cell `# %% [markdown] hint`"
    names = [" ".join(cell.title.split()[:2]) for cell in cells if cell.kind == "code"]
    counts = Counter(name for name in names if name != "hint")
    yield from (f"`{name}` is there {n} times" for name, n in counts.items() if n > 1)


def is_hint(cell: Cell, kind: str) -> bool:
    return (cell.kind, cell.title) == (kind, "hint")


def problems_of_start(exercise: Exercise) -> Iterator[str]:
    """What the learner is given: a docstring that says all, and one gap."""
    said, gaps = ast.get_docstring(exercise.start.definition) or "", gaps_in(exercise.start)
    if not said:
        yield "start: the function has no docstring"
    else:
        names = [name for name in exercise.arguments if not explains(said, name)]
        yield from (f"start: the docstring does not say what `{name}` is" for name in names)
        if not explains(said, "returns") and not explains(said, "yields"):
            yield "start: the docstring has no line `returns`"
    if gaps != 1:
        yield f"start: {gaps} gaps `...`; there must be one"
    for line in exercise.start.source.splitlines():
        if len(line) > MAX_COLUMNS:
            yield f"start: wider than {MAX_COLUMNS} columns: {line.strip()}"


def explains(docstring: str, name: str) -> bool:
    """Whether it says what a name is: `x_t, x_0   (B, 1, H, W);  t (B,)` does so for three."""
    place = rf"(^|;  )(\w+, )*{re.escape(name)}(, \w+)*"
    return bool(re.search(rf"(?m){place}( {{2,}}\S| \()", docstring))


def problems_of_versions(exercise: Exercise) -> Iterator[str]:
    """Functions of another name or with other arguments, and a solution that is too long."""
    for name, code in versions(exercise):
        found = code.definition.name, [argument.arg for argument in code.definition.args.args]
        if found != (exercise.function, exercise.arguments):
            wanted = f"{exercise.function}({', '.join(exercise.arguments)})"
            yield f"{name}: the function is not {wanted}"
    lines = len(exercise.solution.source.splitlines()) - 1
    if lines > MAX_SOLUTION_LINES:
        yield f"the solution has {lines} lines: at most {MAX_SOLUTION_LINES}"


def problems_of_hints(exercise: Exercise) -> Iterator[str]:
    """Hints that do not lead to the solution: each is less of a gap, and the last all but there."""
    hints, solution = exercise.hints, exercise.solution.definition
    if len(hints) < MIN_HINTS:
        yield f"only {len(hints)} hints: at least {MIN_HINTS}"
    yield from (f"hint {i} has no gap" for i, hint in enumerate(hints, 1) if not gaps_in(hint.code))
    if hints and not fills(hints[-1].code.definition, solution):
        yield f"hint {len(hints)} is not the solution with gaps"
    sizes = [size(hint) for hint in hints]
    for i, (before, after) in enumerate(pairwise(sizes), 2):
        if before >= after:
            yield f"hint {i} gives away no more than hint {i - 1}"


def size(hint: Hint) -> int:
    """How much of the solution a hint gives away."""
    return len(list(ast.walk(hint.code.definition)))


def problems_of_mistakes(exercise: Exercise) -> Iterator[str]:
    """Mistakes that do not say, in one sentence, what is wrong; or none at all."""
    if not exercise.mistakes:
        yield "there is no mistake: what do people get wrong?"
    for mistake in exercise.mistakes:
        if not mistake.what:
            yield f"mistake {mistake.name}: its docstring does not say what is wrong"
        elif len(mistake.what) > MAX_CHARACTERS:
            yield f"mistake {mistake.name}: its first sentence has over {MAX_CHARACTERS} characters"
        if mistake.when == "draws" and not mistake.leads_to:
            yield f"mistake {mistake.name}: it does not say what it leads to in a picture"


def problems_of_check(check: Code) -> Iterator[str]:
    """What the examiner needs: `right`, `inputs(draw)`, and a picture that says what it shows."""
    names, functions = set[str](), dict[str, ast.FunctionDef]()
    for node in ast.parse(check.source).body:
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    if "right" not in names | functions.keys():
        yield "check: there is no `right`, the function that is right"
    if "inputs" not in functions:
        yield "check: there is no function `inputs(draw)`"
    if "picture" in functions and not ast.get_docstring(functions["picture"]):
        yield "check: `picture` has no docstring that says what it shows"


def gaps_in(code: Code) -> int:
    """How many `...` stand in the function; in `x[..., None]` it is none."""
    indices = [n.slice for n in ast.walk(code.definition) if isinstance(n, ast.Subscript)]
    fine = {id(node) for index in indices for node in ast.walk(index)}
    return sum(is_ellipsis(n) and id(n) not in fine for n in ast.walk(code.definition))


def is_ellipsis(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def fills(hint: ast.AST, solution: ast.AST) -> bool:
    """Whether a piece of a hint's code is the solution's, where `...` stands for anything."""
    if is_ellipsis(hint):
        return True
    if type(hint) is not type(solution):
        return False
    for name, mine in ast.iter_fields(hint):
        other = getattr(solution, name)
        if isinstance(mine, list):
            if not fills_all(mine, other):
                return False
        elif isinstance(mine, ast.AST):
            if not fills(mine, other):
                return False
        elif mine != other:
            return False
    return True


def fills_all(hint: Sequence[object], solution: Sequence[object]) -> bool:
    """The same of a list, in which a statement `...` stands for any number of statements."""
    if not hint or not solution:
        return all(is_gap(n) for n in hint) and not solution
    if is_gap(hint[0]):
        return any(fills_all(hint[1:], solution[i:]) for i in range(len(solution) + 1))
    mine, other = hint[0], solution[0]
    if isinstance(mine, ast.AST) and isinstance(other, ast.AST):
        alike = fills(mine, other)
    else:
        alike = mine == other
    return alike and fills_all(hint[1:], solution[1:])


def is_gap(node: object) -> bool:
    """Whether it is the statement `...`."""
    return isinstance(node, ast.Expr) and is_ellipsis(node.value)
