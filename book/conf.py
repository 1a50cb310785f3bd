"""The book, as Sphinx sees it. From the repository root:  sphinx-build -c book -b html . book/_build/html

Both book/ (front matter) and notebooks/ (chapters) lie under the source root, which is the repository.
Nothing is downloaded, when the book is built or when it is read.
"""
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

# Widgets put themselves into the page instead of asking for a kernel. Set before any notebook runs.
os.environ["NDE_LAB_STATIC"] = "1"

import nde_lab  # noqa: E402
from nde_lab.explore.page import executions  # noqa: E402

project, author = "nde_lab", "The nde_lab authors"
copyright = "The nde_lab authors. Text CC BY 4.0, code MIT"
version = release = nde_lab.__version__
language = "en"

extensions = ["myst_nb", "sphinx_external_toc", "sphinx_exercise", "sphinx_proof", "sphinxcontrib.bibtex",
              "sphinx_copybutton", "sphinx_design", "sphinx_togglebutton", "sphinx.ext.autodoc", "sphinx.ext.viewcode",
              "nde_lab.explore.page.sphinx_ext"]
external_toc_path = "book/_toc.yml"
include_patterns = ["book/**", "notebooks/**"]
exclude_patterns = ["**/_build", "**/.ipynb_checkpoints", "**/*.ipynb", "book/_static", "book/redirect"]

html_theme = "sphinx_book_theme"
html_title = "nde_lab"
html_theme_options = {
    "navbar_persistent": [],          # the theme would add a second search bar
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "use_download_button": False,     # the theme's buttons would offer the MyST source without its outputs
}
html_context = {"default_mode": "auto"}      # light or dark as the reader has it
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_favicon = "_static/favicon.svg"   # without one, browsers ask the host for /favicon.ico
html_extra_path = ["redirect"]        # the site's own root leads to book/index.html
html_copy_source = False
html_show_sourcelink = False

# MathJax 3: one vendored file. Sphinx 9's default, MathJax 4, would be fetched from a CDN.
mathjax_path = "vendor/tex-svg-full.js"
mathjax3_config = {"options": {"enableMenu": False}}      # the menu offers languages that would be fetched

# Chapters run once. The cache's folder is named after the package's sources: jupyter-cache itself looks only at the
# cells, and would show the output of an older library. `pytest` fills the same folder when it runs the notebooks.
nb_execution_mode = "cache"
nb_execution_cache_path = str(executions.cache_folder())
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_ipywidgets_js = {}                 # the widgets are plain HTML here: no requirejs, no widget manager
nb_merge_streams = True

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist", "attrs_inline", "attrs_block"]
myst_heading_anchors = 3
numfig = True
autodoc_preserve_defaults = True      # as written, not as evaluated: no addresses in memory, no paths of this machine
autodoc_typehints = "signature"
toc_object_entries = False             # every page renders the contents: thousands of functions there cost a minute
viewcode_line_numbers = True
html_domain_indices = False           # the pages of the reference are index enough
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
suppress_warnings = []
latex_engine = "xelatex"
# TeX would take the underscore of the name for a subscript.
latex_documents = [("book/index", "nde_lab.tex", r"nde\_lab", r"The nde\_lab authors", "manual")]
latex_use_xindy = False        # makeindex comes with every TeX
