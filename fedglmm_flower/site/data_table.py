"""``[data]`` of ``site.toml``: which rows a site has, and where."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fedglmm_flower.site.database import Database, require_address
from fedglmm_flower.site.source import RecordSource, file_source
from fedglmm_flower.site.sql import SqlSource, query_of_table, require_query

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False, strict=True)]
_OF_FILES = ("path",)
_OF_DATABASES = ("url", "query", "table", "password_env", "password_file", "timeout")


class DataTable(BaseModel):
    """``[data]``: a file, or a query of a database."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # By the name of the file, unless it says.
    kind: Literal["csv", "parquet", "sql"] | None = None
    path: Annotated[str, Field(min_length=1)] | None = None
    url: str | None = None
    query: str | None = None
    table: Annotated[str, Field(min_length=1)] | None = None
    password_env: Annotated[str, Field(min_length=1)] | None = None
    password_file: Annotated[str, Field(min_length=1)] | None = None
    timeout: Seconds | None = None
    # Who the rows are of: every rule and the noise count these and not rows.
    unit: Annotated[str, Field(min_length=1, max_length=200)] | None = None

    @field_validator("url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is not None:
            require_address(url)
        return url

    @field_validator("query")
    @classmethod
    def _one_select(cls, query: str | None) -> str | None:
        if query is not None:
            require_query(query)
        return query

    @model_validator(mode="after")
    def _whole(self) -> "DataTable":
        here = {name for name in (*_OF_FILES, *_OF_DATABASES) if getattr(self, name)}
        if self.kind != "sql":
            if "path" not in here:
                raise ValueError(
                    'path is missing; a file is required, or kind = "sql" with url '
                    "and query"
                )
            _refuse(here & set(_OF_DATABASES), 'belong to kind = "sql" alone')
            return self
        _refuse(here & set(_OF_FILES), "belong to files alone")
        if "url" not in here or len(here & {"query", "table"}) != 1:
            raise ValueError("url and one of query and table are required")
        if len(here & {"password_env", "password_file"}) > 1:
            raise ValueError("one of password_env and password_file may be given")
        return self

    def source(self, base: Path) -> RecordSource:
        """
        What reads the rows; opens nothing yet.

        Parameters
        ----------
        base : Path
            Folder that relative paths start from.
        """
        if self.kind != "sql":
            return file_source(base / (self.path or ""), self.kind)
        database = Database(
            self.url or "",
            self.password_env,
            None if self.password_file is None else Path(self.password_file),
            self.timeout or Database.seconds,
        ).inside(base)
        if self.table is None:
            return SqlSource(database, self.query or "")
        return SqlSource(database, query_of_table(self.table), f"table {self.table}")


def _refuse(names: set[str], why: str) -> None:
    if names:
        raise ValueError(f"{', '.join(sorted(names))} {why}; remove them")
