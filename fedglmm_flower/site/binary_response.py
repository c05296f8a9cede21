"""Where a response is 0 or 1, and its sum a count of rows."""

from fedglmm_flower.study.model import Model


def response_is_binary(model: Model) -> bool:
    """Whether the response is a 0/1 column or a level of a factor."""
    response = model.response
    if response.column is not None:
        return True
    column = model.columns.get(response.name)
    return column is not None and column.kind == "binary"


def response_is_event(model: Model) -> bool:
    """Whether each row has one event or none, whatever its column is declared as."""
    if model.family == "binomial":
        return model.trials is None
    return response_is_binary(model)
