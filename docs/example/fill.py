"""Prints into a page what the commands of its console blocks print.

Usage: fill.py PAGE EXAMPLE DAY-FILE; called by `make` beside it.
"""
import pathlib, re, shutil, subprocess, sys, tempfile

page, example, day = map(pathlib.Path, sys.argv[1:])
year, month, date = day.parts[-3], day.parts[-2], day.stem
text = page.read_text()
text = re.sub(r"chain/\d{4}/\d\d/\d\d\.jsonl", f"chain/{year}/{month}/{date}.jsonl", text)
text = re.sub(r"EB-\d{8}-0001", f"EB-{year}{month}{date}-0001", text)
text = re.sub(r"chain/\d{4}-\d\d-\d\d\.jsonl", f"chain/{year}-{month}-{date}.jsonl", text)


def filled(block):
    commands = [line[2:] for line in block[1].splitlines() if line.startswith("$ ")]
    script = "".join(f"echo '@@'\n{command}\n" for command in commands)
    run = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=copy,
                         check=True, capture_output=True, text=True)
    printed = run.stdout.split("@@\n")[1:]
    return "```console\n" + "".join(f"$ {c}\n{p}" for c, p in zip(commands, printed)) + "```"


with tempfile.TemporaryDirectory() as folder:
    copy = pathlib.Path(folder, "example")
    shutil.copytree(example, copy)
    text = re.sub(r"```console\n(.*?)```", filled, text, flags=re.S)
page.write_text(text)
