"""The report of a benchmark: one HTML page that needs no network."""

from __future__ import annotations

from memnet_cli.evaluation.report.page import check_folder, write_report
from memnet_cli.evaluation.report.pictures import PictureStore

__all__ = ["PictureStore", "check_folder", "write_report"]
