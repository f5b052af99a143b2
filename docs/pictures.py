"""The synthetic product in; every picture of the README and of these pages out, as docs/pictures/NAME.webp.

    python docs/pictures.py                 # all of them, in some ten minutes
    python docs/pictures.py label method    # those whose names begin so

No licensed image is used. Screenshots are taken by Playwright with the Chromium on the PATH, from a run of
`anomaly-clustering cluster` on a flat folder of the generated images, as a user has them, and from one on the same
images in subfolders by class. Figures are drawn by matplotlib from the package's own functions.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib
from drawing import paper, residuals
from drawing.look import STYLE, save
from drawing.product import Product
from drawing.report import chromium
from drawing.screenshots import SCREENSHOTS, make_runs
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]
FIGURES = {**paper.FIGURES, **residuals.FIGURES}
# Figures of the paper, as `python -m experiments` draws them.
EXPERIMENTS = ("figure6", "figure13")


def experiment(name: str) -> None:
    out = Path("experiments").resolve()
    options = ["--data", "synthetic", "--backbone", "embedded", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "experiments", name, *options], cwd=REPOSITORY, check=True)
    with Image.open(out / "figures" / f"{name}-synthetic-embedded.png") as image:
        image.thumbnail((1400, 1400))
        save(image, f"experiments-{name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[""], metavar="NAME", help="beginnings of names; all if not given")
    wanted = tuple(parser.parse_args().names)
    matplotlib.rcParams.update(STYLE)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        product = Product()
        for name, draw in FIGURES.items():
            if name.startswith(wanted):
                draw(product)
        for name in EXPERIMENTS:
            if f"experiments-{name}".startswith(wanted):
                experiment(name)
        screenshots = [take for name, take in SCREENSHOTS.items() if name.startswith(wanted)]
        if screenshots:
            make_runs()
            with chromium() as browser:
                for take in screenshots:
                    take(browser)


if __name__ == "__main__":
    main()
