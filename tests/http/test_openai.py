"""A conversation with an OpenAI-compatible endpoint, from the prompt of a browser to the endpoint and back."""

from typing import Any

from tests.http.conftest import StartReplica
from tests.http.wire import logged
from tests.support.openai_fake import Refusal, answer, fake_openai

PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


async def test_an_answer_is_streamed_and_a_follow_up_carries_the_conversation(start: StartReplica) -> None:
    failing = Refusal(401, code="invalid_api_key")
    scripts = answer("Hel", "lo."), failing, [{"reasoning": "Hm."}, *answer("Still here.")]
    async with fake_openai(*scripts) as fake:
        async with start(openai_base_url=fake.url, openai_model="fake-1", default_provider="openai") as app:
            user = await app.register()
            prompt: Any = {"userRequest": "Who is there?"}
            async with user.stream("/api/execute-remote", prompt) as stream:
                found = logged(await stream.rest())
                session_id, run_id = stream.head["X-Session-ID"], stream.head["X-Run-ID"]
            follow_up = {"websiteSessionId": session_id, "provider": "openai", "model": "fake-2"}
            async with user.stream("/api/execute-remote", {**follow_up, "userRequest": "Lost?"}) as stream:
                failed = logged(await stream.rest())[-1]
            pictured = [{"type": "text", "text": "And now?"}, {"type": "image", "source": PNG}]
            async with user.stream("/api/execute-remote", {**follow_up, "userRequest": pictured}) as stream:
                again = logged(await stream.rest())

    by_type = {frame.event: frame.data for frame in found}
    assert (by_type["run_started"]["provider"], by_type["run_started"]["model"]) == ("openai", "fake-1")
    assert "".join(frame.data["text"] for frame in found if frame.event == "text_delta") == "Hello."
    assert by_type["message"]["content"] == [{"type": "text", "text": "Hello."}]
    assert by_type["usage"] == {"runId": run_id, "inputTokens": 11, "outputTokens": 7}
    assert by_type["completed"]["stopReason"] == "end_turn"

    assert failed.event == "failed"
    assert (failed.data["code"], failed.data["retryable"]) == ("provider_unauthorized", False)

    assert again[-1].event == "completed"
    assert fake.requests[-1]["model"] == "fake-2"
    assert fake.requests[-1]["messages"] == [
        {"role": "user", "content": "Who is there?"},
        {"role": "assistant", "content": "Hello."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Lost?"},
                {"type": "text", "text": "And now?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG['data']}"}},
            ],
        },
    ]


async def test_a_prompt_that_was_refused_for_what_is_in_it_does_not_spoil_every_later_one(start: StartReplica) -> None:
    refusals = Refusal(400), Refusal(400), Refusal(413)  # after a 400 it is asked once more, with fewer options
    async with fake_openai(*refusals, answer("Better.")) as fake:
        async with start(openai_base_url=fake.url, openai_model="fake-1", default_provider="openai") as app:
            user = await app.register()
            session_id = None
            ends = []
            for said in ("A broken picture", "Too much", "Without it"):
                prompt: Any = {"userRequest": said, **({} if session_id is None else {"websiteSessionId": session_id})}
                async with user.stream("/api/execute-remote", prompt) as stream:
                    ends.append(logged(await stream.rest())[-1].data.get("code"))
                    session_id = stream.head["X-Session-ID"]
    assert ends == ["provider_refused", "provider_request_too_large", None]
    assert fake.requests[-1]["messages"] == [{"role": "user", "content": "Without it"}]
