"""The feed definitions that come with the service. Free."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response

from functions.api.answers import answer
from functions.api.models.common import Identifier, Page, documented, page
from functions.api.models.feeds import PresetDefinitionView, PresetView
from functions.api.problems import Refusal, not_found
from functions.api.requests import path_value
from functions.api.routing import new_router, operation
from shared.feeds.definition import describe_presets, preset_definition
from shared.workspaces import Scope

router = new_router()


@router.get(
    "/presets",
    **operation(
        "listPresets",
        "The presets",
        description="The feed definitions that come with the service, for what shops really send.",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, Page[PresetView], "All presets, on one page."),
    ),
)
def list_presets() -> Response[str]:
    return answer(page([PresetView.of(preset) for preset in describe_presets()], None))


@router.get(
    "/presets/<name>",
    **operation(
        "getPreset",
        "A preset in full",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, PresetDefinitionView, "The preset."),
    ),
)
def get_preset(name: Identifier) -> Response[str]:
    wanted = path_value(name)
    for preset in describe_presets():
        if preset.name == wanted:
            view = PresetDefinitionView(**PresetView.of(preset).model_dump(), definition=preset_definition(preset.name))
            return answer(view)
    raise Refusal(not_found(f"There is no preset {wanted}."))
