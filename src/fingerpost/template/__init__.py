"""Templates: what nodes agree on, and how a record becomes integers."""

from fingerpost.template._codes import (
    action_code,
    action_codes,
    action_value,
    condition_codes,
    condition_column_codes,
    condition_values,
    outcome_code,
    outcome_codes,
    outcome_value,
)
from fingerpost.template._columns import RowProblem
from fingerpost.template._drafts import Note
from fingerpost.template._encode import encode_table
from fingerpost.template._exact import encode_record
from fingerpost.template._fields import (
    SCALE,
    Action,
    CategoryField,
    CategoryOutcomeField,
    Condition,
    Field,
    Missing,
    NumberField,
    NumberOutcomeField,
    OrdinalField,
    Other,
    OutcomeField,
    Outside,
    Scale,
    SetField,
    TextField,
    VectorField,
)
from fingerpost.template._infer import InferredTemplate, infer_template
from fingerpost.template._parse import parse_template
from fingerpost.template._reports import ReportPlan, plan_reports
from fingerpost.template._template import DataClass, Template, profile_name
from fingerpost.template._values import MISSING_TEXTS, is_missing_text

__all__ = [
    "MISSING_TEXTS",
    "SCALE",
    "Action",
    "CategoryField",
    "CategoryOutcomeField",
    "Condition",
    "DataClass",
    "Field",
    "InferredTemplate",
    "Missing",
    "Note",
    "NumberField",
    "NumberOutcomeField",
    "OrdinalField",
    "Other",
    "OutcomeField",
    "Outside",
    "ReportPlan",
    "RowProblem",
    "Scale",
    "SetField",
    "Template",
    "TextField",
    "VectorField",
    "action_code",
    "action_codes",
    "action_value",
    "condition_codes",
    "condition_column_codes",
    "condition_values",
    "encode_record",
    "encode_table",
    "infer_template",
    "is_missing_text",
    "outcome_code",
    "outcome_codes",
    "outcome_value",
    "parse_template",
    "plan_reports",
    "profile_name",
]
