"""A channel like those that people have: what the screenshots of the documentation show."""

from __future__ import annotations

from testkit.people import Build

_DAY = 86_400
_NOW = 1_795_000_000
_NUMPY = ("libblas >=3.9.0,<4.0a0", "libcblas >=3.9.0,<4.0a0", "libgcc >=14", "libstdcxx >=14")
_SUMMARIES = {
    "aiohttp": ("3.13.2", "noarch", "Asynchronous HTTP client and server framework"),
    "arrow-cpp": ("22.0.0", "linux-64", "Columnar in-memory analytics, C++ libraries"),
    "attrs": ("25.4.0", "noarch", "Classes without boilerplate"),
    "click": ("8.3.1", "noarch", "Composable command line interfaces"),
    "cmake": ("4.2.0", "linux-64", "Builds, tests and packages software"),
    "dask": ("2026.10.0", "noarch", "Parallel computing with task scheduling"),
    "ffmpeg": ("8.0.1", "linux-64", "Records, converts and streams audio and video"),
    "gdal": ("3.12.0", "linux-64", "Translates raster and vector geospatial formats"),
    "houdini-openjd": ("0.7.2", "noarch", "Runs render jobs on a farm"),
    "jupyterlab": ("4.5.0", "noarch", "An extensible environment for notebooks, code and data"),
    "libblas": ("3.11.0", "linux-64", "Linear algebra, interface"),
    "libgcc": ("15.2.0", "linux-64", "The GCC low-level runtime library"),
    "matplotlib": ("3.10.7", "linux-64", "Publication quality figures in Python"),
    "ninja": ("1.13.2", "linux-64", "A small build system with a focus on speed"),
    "openssl": ("3.6.0", "linux-64", "Transport layer security and cryptography"),
    "pandas": ("3.0.0", "linux-64", "Data structures for data analysis and statistics"),
    "pillow": ("12.0.0", "linux-64", "The friendly fork of the Python imaging library"),
    "polars": ("1.35.2", "linux-64", "Data frames in Rust, with Python in front"),
    "pydantic": ("2.12.4", "noarch", "Data validation with type hints"),
    "pytest": ("9.0.1", "noarch", "Simple powerful testing"),
    "python": ("3.14.0", "linux-64", "General purpose programming language"),
    "ruff": ("0.14.6", "linux-64", "A fast linter and formatter for Python"),
    "scipy": ("1.16.3", "linux-64", "Algorithms for scientific computing"),
    "zstd": ("1.5.7", "linux-64", "Fast lossless compression"),
}

BUILDS = [
    *(
        Build(
            "numpy",
            version=version,
            build=f"py{python}h{key}_0",
            subdir=subdir,
            depends=(*_NUMPY, f"python >=3.{python[1:]},<3.{int(python[1:]) + 1}.0a0"),
            size=size,
            timestamp=_NOW - age * _DAY,
            more={"license": "BSD-3-Clause", "indexed_timestamp": (_NOW - age * _DAY) * 1000},
        )
        for version, age in (("2.3.5", 0), ("2.3.4", 31), ("2.3.3", 67), ("2.2.6", 180))
        for subdir, size in (("linux-64", 8_912_345), ("osx-arm64", 6_612_001))
        for python, key in (("314", "7d1a3c2"), ("313", "f28e9b6"))
    ),
    *(
        Build(name, version, subdir=subdir, timestamp=_NOW - 7 * number * _DAY)
        for number, (name, (version, where, _)) in enumerate(_SUMMARIES.items())
        for subdir in ((where, "osx-arm64", "win-64") if where == "linux-64" else (where,))
    ),
]
ABOUT = {
    **{name: {"summary": summary} for name, (_, _, summary) in _SUMMARIES.items()},
    "numpy": {
        "summary": "The fundamental package for scientific computing with Python",
        "license": "BSD-3-Clause",
        "home": "https://numpy.org/",
        "doc_url": "https://numpy.org/doc/stable/",
        "dev_url": "https://github.com/numpy/numpy",
    },
}
