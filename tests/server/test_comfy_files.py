"""ComfyUI's interface on the server: nodes, models, uploads, views, saved files, settings, templates, the token."""

from __future__ import annotations

import io
import json
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from kinema.http.token import BearerToken
from kinema.jobs.retention import Retention, clean
from kinema.server.comfy import input_routes
from kinema.server.comfy.object_info import object_info
from kinema.weights import store as weights
from kinema.workflow.nodes import shown
from kinema.workflow.nodes.model_files import card_of, family_of_part, model_files
from kinema.workflow.nodes.model_names import PUBLISHED, model_names
from kinema.workflow.nodes.table import DECLARED

TOKEN = "a token of this test"


def png(colour=(200, 30, 30), size=(32, 24), mode="RGB") -> bytes:
    data = io.BytesIO()
    Image.new(mode, size, colour).save(data, "PNG")
    return data.getvalue()


def sent(client, name, data, *, to="image", **fields):
    return client.post(f"/upload/{to}", files={"image": (name, data, "image/png")}, data=fields)


def pixels(answer) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_every_node_is_described_with_what_can_be_chosen_here(site):
    client = site().client
    nodes = client.get("/api/object_info").json()
    assert nodes.keys() == DECLARED.keys() == shown.CATEGORIES.keys()
    for name, node in nodes.items():
        declared = DECLARED[name]
        inputs = node["input"]["required"] | node["input"].get("optional", {})
        order = [*node["input_order"]["required"], *node["input_order"].get("optional", [])]
        assert set(inputs) == set(order) == {each.name for each in declared.inputs}
        widgets = [each.name for each in declared.inputs if each.widget and not each.optional]
        assert [each for each in order if each in widgets] == widgets, "files store values by position"
        assert len(node["output"]) == len(node["output_name"]) == len(declared.outputs)
        assert node["display_name"] and node["category"] and node["output_node"] == declared.result
    assert nodes["UNETLoader"]["input"]["required"]["unet_name"][1]["options"] == ["kinema-mini-wan"]
    assert nodes["ImageOnlyCheckpointLoader"]["input"]["required"]["ckpt_name"][1]["options"][0] == "kinema-mini-svd"
    assert "wan_2.1_vae.safetensors" in nodes["VAELoader"]["input"]["required"]["vae_name"][1]["options"]
    assert nodes["SAM3_Detect"]["input"]["optional"]["positive_coords"][1]["forceInput"], "a link, not a field"
    assert client.get("/object_info/KSampler").json() == {"KSampler": nodes["KSampler"]}
    assert client.get("/object_info/NoSuchNode").json() == {}
    listed = client.get("/api/experiment/models/diffusion_models").json()
    assert [each["name"] for each in listed] == ["kinema-mini-wan"]


def test_published_names_appear_when_their_model_is_here(monkeypatch):
    mine = {"wan2.1-t2v-1.3b", "svd"}
    monkeypatch.setattr(weights, "here", lambda card: card.id in mine)
    found = model_names()
    assert found["diffusion_models"] == (
        "wan2.1-t2v-1.3b", "wan2.1_t2v_1.3B_fp16.safetensors", "wan2.1_t2v_1.3B_bf16.safetensors"
    )  # fmt: skip
    assert found["checkpoints"] == (
        "svd", "svd.safetensors", "svd_image_decoder.safetensors", "sam3.1_multiplex_fp16.safetensors"
    )  # fmt: skip
    assert all(card_of(name).id in mine for name in (*found["diffusion_models"], *found["checkpoints"][:-1]))
    assert all(family_of_part(name) == "wan" for name in found["text_encoders"] + found["vae"] + found["clip_vision"])
    names = [name for names in PUBLISHED.values() for name in names]
    assert len(names) == len({name.lower() for name in names})
    unread = [name for name in names if card_of(name) is None and family_of_part(name) is None]
    assert unread == ["sam3.1_multiplex_fp16.safetensors"], "the tracker stands for it"


def test_loaders_accept_a_model_and_a_style_by_its_own_name():
    prompt = {
        "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "kinema-mini-wan"}},
        "2": {"class_type": "LoraLoaderModelOnly", "inputs": {"lora_name": "mini-pan-left", "model": ["1", 0]}},
        "3": {"class_type": "VAELoader", "inputs": {"vae_name": "wan_2.1_vae.safetensors"}},
    }
    found = {each.name: each for each in model_files(prompt)}
    assert found["kinema-mini-wan"].model == "kinema-mini-wan" and found["kinema-mini-wan"].here
    assert found["mini-pan-left"].model == "mini-pan-left" and found["mini-pan-left"].here
    assert found["wan_2.1_vae.safetensors"].part and found["wan_2.1_vae.safetensors"].here


def test_uploads_keep_their_names_and_contents(site):
    client = site().client
    red, blue = png(), png((30, 30, 200))
    first = sent(client, "photo.png", red, subfolder="my/trip", type="input")
    assert first.json() == {"name": "photo.png", "subfolder": "my/trip", "type": "input"}
    assert sent(client, "photo.png", red, subfolder="my/trip").json()["name"] == "photo.png", "the same content"
    assert sent(client, "photo.png", blue, subfolder="my/trip").json()["name"] == "photo (1).png", "never lost"
    where = {"filename": "photo.png", "subfolder": "my/trip", "type": "input"}
    seen = client.get("/api/view", params=where)
    assert (seen.content, seen.headers["content-type"]) == (red, "image/png")
    assert sent(client, "photo.png", blue, subfolder="my/trip", overwrite="true").json()["name"] == "photo.png"
    again = client.get("/api/view", params=where, headers={"if-none-match": seen.headers["etag"]})
    assert (again.status_code, again.content) == (200, blue), "the tag is of the content"
    same = client.get("/api/view", params=where, headers={"if-none-match": again.headers["etag"]})
    assert same.status_code == 304
    part = client.get("/api/view", params=where, headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PNG")
    assert client.get("/internal/files/input").json() == ["my/trip/photo (1).png", "my/trip/photo.png"]
    options = client.get("/object_info/LoadImage").json()["LoadImage"]["input"]["required"]["image"][1]["options"]
    assert options == ["my/trip/photo (1).png", "my/trip/photo.png"]


def test_named_files_outlive_a_cleaning_of_the_store(site):
    found = site()
    sent(found.client, "photo.png", png())
    unnamed = found.store.media.put(b"an upload without a name")
    clean(found.store, Retention(), upload_s=-1)
    assert found.client.get("/view?filename=photo.png&type=input").content == png()
    assert not found.store.media.has(unnamed.sha256)
    assert found.client.delete("/api/internal/files/input/photo.png").status_code == 204
    assert found.client.delete("/api/internal/files/input/photo.png").status_code == 404
    clean(found.store, Retention(), upload_s=-1)
    assert found.store.media.total_bytes() == 0
    assert found.client.get("/view?filename=photo.png&type=input").status_code == 404


@pytest.mark.parametrize(
    ("name", "data", "fields", "status"),
    [
        ("a.png", b"not a picture", {}, 422), ("a.html", b"<script>alert(1)</script>", {}, 422),
        ("a.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", {}, 422), ("..", png(), {}, 422),
        ("a.png", png(), {"subfolder": "../../etc"}, 422), ("a.png", png(), {"type": "output"}, 422),
        ("a.png", png(0, (9000, 9000), "1"), {}, 422), ("a.png", png()[:60], {}, 422),
        ("x" * 400 + ".png", png(), {}, 422), ("a.png", png() * 3000, {}, 413),
    ],
    ids=("no-picture", "html", "svg", "dots", "escape", "folder", "pixels", "truncated", "long", "large"),
)  # fmt: skip
def test_illegal_uploads(site, name, data, fields, status):
    client = site(max_upload_bytes=100_000).client
    answer = sent(client, name, data, **fields)
    assert answer.status_code == status and answer.json()["error"]
    assert "http" not in answer.text and client.get("/internal/files/input").json() == []


def test_uploads_have_a_total(site, monkeypatch):
    client = site().client
    monkeypatch.setattr(input_routes, "MOST_BYTES", len(png()) + 10)
    assert sent(client, "a.png", png()).status_code == 200
    refused = sent(client, "b.png", png((1, 2, 3)))
    assert refused.status_code == 422 and "DELETE" in refused.text


def test_names_never_leave_their_folder(site, tmp_path):
    client = site().client
    (tmp_path / "secret.png").write_bytes(png())
    for name in ("../secret.png", str(tmp_path / "secret.png"), "..\\secret.png", "a/../../secret.png", "", "a\0b.png"):
        for kind in ("input", "output", "temp", "user", "../input"):
            answer = client.get("/view", params={"filename": name, "type": kind})
            assert answer.status_code in (404, 422), (name, kind)
    for path in ("..%2F..%2Fsecret.png", "%2Fetc%2Fpasswd", "a%2F..%2F..%2Fb"):
        assert client.get(f"/api/userdata/{path}").status_code in (404, 422)
        assert client.post(f"/api/userdata/{path}", content=b"x").status_code == 422


def test_single_channels_smaller_pictures_and_masks(site):
    client = site().client
    picture = np.zeros((6, 8, 4), np.uint8)
    picture[..., 0], picture[..., 3] = 250, np.arange(8) * 30
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG")
    sent(client, "clear.png", data.getvalue())
    where = {"filename": "clear.png", "type": "input"}
    assert np.array_equal(pixels(client.get("/view", params=where | {"channel": "rgb"})), picture[..., :3])
    alpha = pixels(client.get("/view", params=where | {"channel": "a"}))
    assert np.array_equal(alpha[..., 3], picture[..., 3]) and not alpha[..., :3].any()
    small = client.get("/view", params=where | {"preview": "webp;80"})
    assert small.headers["content-type"] == "image/webp" and pixels(small).shape[:2] == (6, 8)
    for wrong in ({"preview": "exe;90"}, {"preview": "webp;x"}, {"channel": "b"}):
        assert client.get("/view", params=where | wrong).status_code == 422

    sent(client, "photo.png", png((10, 200, 90), (8, 6)))
    reference = json.dumps({"filename": "photo.png", "subfolder": "", "type": "input"})
    made = sent(client, "mask.png", data.getvalue(), to="mask", original_ref=reference, subfolder="clipspace").json()
    assert made == {"name": "mask.png", "subfolder": "clipspace", "type": "input"}
    joined = pixels(client.get("/view", params={"filename": "mask.png", "subfolder": "clipspace", "type": "input"}))
    assert (joined[..., :3] == (10, 200, 90)).all() and np.array_equal(joined[..., 3], picture[..., 3])
    sent(client, "large.png", png())
    other = sent(client, "m.png", data.getvalue(), to="mask", original_ref=json.dumps({"filename": "large.png"}))
    assert other.status_code == 422 and "32x24" in other.text
    missing = sent(client, "m.png", data.getvalue(), to="mask", original_ref=json.dumps({"filename": "no.png"}))
    assert missing.status_code == 422


def test_saved_workflows(site):
    client = site().client
    path = "/api/userdata/workflows%2Fdeep%2Fmy%20flow.json"
    saved = client.post(f"{path}?overwrite=false&full_info=true", content=b'{"nodes": []}').json()
    assert (saved["path"], saved["size"]) == ("workflows/deep/my flow.json", 13)
    assert saved["created"] == saved["modified"] > 1.7e12
    assert client.post(f"{path}?overwrite=false", content=b"{}").status_code == 409
    assert client.get(path).json() == {"nodes": []}
    assert client.post(path, content=b'{"nodes": [1]}').json() == "workflows/deep/my flow.json"
    listed = client.get("/api/userdata?dir=workflows&recurse=true&split=false&full_info=true").json()
    assert [(each["path"], each["size"]) for each in listed] == [("deep/my flow.json", 14)]
    assert client.get("/api/userdata?dir=workflows&recurse=false").json() == []
    assert client.get("/userdata?dir=workflows&recurse=true&split=true").json() == [
        ["deep/my flow.json", "deep", "my flow.json"]
    ]
    assert [each["name"] for each in client.get("/api/v2/userdata?path=workflows").json()] == ["deep"]
    client.post("/api/userdata/workflows%2Fb.json", content=b"2")
    assert client.post(f"{path}/move/workflows%2Fb.json?overwrite=false").status_code == 409
    assert client.post(f"{path}/move/workflows%2Fc.json?overwrite=false").json() == "workflows/c.json"
    assert client.get(path).status_code == 404 and client.get("/userdata/workflows%2Fc.json").json() == {"nodes": [1]}
    assert client.post(f"{path}/move/workflows%2Fd.json").status_code == 422
    assert client.delete("/api/userdata/workflows%2Fc.json").status_code == 204
    assert client.delete("/api/userdata/workflows%2Fc.json").status_code == 404
    assert client.get("/api/userdata/user.css").status_code == 200, "the page asks for it, and logs a 404"
    client.post("/api/userdata/evil.html", content=b"<script>")
    assert client.get("/api/userdata/evil.html").headers["content-type"] == "application/octet-stream"


def test_settings_are_bare_values(site):
    client = site().client
    assert client.get("/api/settings").json() == {}
    assert client.post("/api/settings/Comfy.Locale", content=b'"de"').status_code == 200
    assert client.post("/settings", json={"Comfy.Locale": "fr", "Comfy.Numbers": [1, 2.5, None]}).status_code == 200
    assert client.get("/settings").json() == {"Comfy.Locale": "fr", "Comfy.Numbers": [1, 2.5, None]}
    assert client.get("/api/settings/Comfy.Locale").json() == "fr"
    assert client.get("/api/settings/Comfy.Unset").json() is None
    assert client.post("/api/settings/x", content=b"NaN").status_code == 400
    assert client.post("/api/settings", content=b"[1]").status_code == 422
    assert client.post("/api/settings/x", content=b"1" * 2_000_000).status_code == 413


def test_what_the_page_reads_at_its_start(site):
    client = site().client
    system = client.get("/api/system_stats").json()
    assert "--disable-api-nodes" in system["system"]["argv"] and system["devices"][0]["vram_total"] > 0
    assert client.get("/api/users").json() == {"storage": "server", "migrated": True}
    assert client.get("/api/features").json()["assets"] is False
    for path in ("extensions", "embeddings"):
        assert client.get(f"/api/{path}").json() == []
    text = client.get("/docs/WanVaceToVideo/en.md").text
    assert "control_masks" in text and "1 where the clip is generated" in text
    assert client.get("/docs/NoSuchNode/en.md").status_code == 404
    assert client.get("/models").json()["models"], "Kinema's own path"
    assert client.get("/api/models").json()[0] == "checkpoints"
    assert client.delete("/jobs").status_code == 405


def test_templates_that_run_here_come_first(site):
    pytest.importorskip("comfyui_workflow_templates_json", reason="the templates are not installed")
    client = site().client
    groups = client.get("/templates/index.json").json()
    first = [each["name"] for each in groups[0]["templates"]]
    assert groups[0]["title"] == "Runs here" and {"text_to_video_wan", "image_to_video_wan"} <= set(first)
    assert first[0].startswith("kinema_"), "what runs without a download"
    for name in first:
        assert client.get(f"/templates/{name}.json").json()["nodes"], name
    assert sum(len(group["templates"]) for group in groups[1:]) > 600
    assert client.get("/templates/..%2Findex.py").status_code == 404
    blueprints = client.get("/api/global_subgraphs").json()
    for each in blueprints.values():
        assert json.loads(each["data"])["definitions"]["subgraphs"]


def test_the_interface_behind_the_token(site, tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>the interface</title>")
    (tmp_path / "assets" / "main.js").write_text("1")
    (tmp_path / "assets" / "favicon.ico").write_bytes(b"icon")
    client = site(ui=tmp_path, token=TOKEN).client
    asked = client.get("/ui/")
    assert asked.status_code == 401 and "form" in asked.text and "the interface" not in asked.text
    assert asked.headers["referrer-policy"] == "same-origin", "else the form has no origin, and is refused"
    for path in ("/ui/api/settings", "/ui/assets/main.js", "/ui/api/object_info", "/api/settings", "/settings"):
        assert client.get(path).status_code == 401, path
    assert client.get("/assets/favicon.ico").content == b"icon"
    wrong = client.post("/ui/token", data={"token": "not the right token"})
    assert wrong.status_code == 401 and "not the token" in wrong.text and "set-cookie" not in wrong.headers
    right = client.post("/ui/token", data={"token": TOKEN}, follow_redirects=False)
    cookie = right.headers["set-cookie"]
    assert right.status_code == 303 and right.headers["location"] == "/ui/" and TOKEN not in cookie
    assert all(each in cookie for each in ("HttpOnly", "SameSite=strict", "Path=/ui"))
    page = client.get("/ui/")
    assert "the interface" in page.text and page.headers["cache-control"] == "no-store"
    assert "connect-src 'self'" in page.headers["content-security-policy"]
    assert client.get("/ui/api/settings").json() == {} and client.get("/ui/assets/main.js").text == "1"
    assert client.get("/api/settings").status_code == 401, "the cookie is the interface's"
    foreign = client.post("/ui/api/settings/a", content=b"1", headers={"origin": "http://evil.example"})
    assert foreign.status_code == 403
    assert not BearerToken(None).allows_cookie(BearerToken(None).cookie())
    for _ in range(12):
        last = client.post("/ui/token", data={"token": "guess"})
    assert last.status_code == 429


def test_the_page_that_is_served_without_a_token(site, tmp_path, monkeypatch):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "index.html").write_text("<title>the interface</title>")
    from kinema.core.errors import RequestError
    from kinema.server.comfy.interface_folder import interface_folder

    client = site(ui=interface_folder(str(tmp_path))).client
    assert "the interface" in client.get("/ui/").text
    assert client.get("/ui/api/jobs").json()["jobs"] == [] and client.get("/ui/prompt").json()["exec_info"]
    assert client.get("/ui/no-such-file.js").status_code == 404
    with pytest.raises(RequestError, match=r"no index\.html"):
        interface_folder(str(tmp_path / "nothing"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(RequestError, match="not installed") as refused:
        interface_folder("auto")
    assert "pip install --no-deps comfyui-frontend-package==" in str(refused.value.legal)


def test_object_info_reads_no_files():
    found = object_info(DECLARED, {})
    assert found["LoadImage"]["input"]["required"]["image"][1] == {
        "options": [], "image_upload": True, "tooltip": "A picture."
    }  # fmt: skip
    assert found["LoadVideo"]["input"]["required"]["file"][1]["video_upload"]


def test_no_strange_request_is_a_fault(site):
    client = site().client
    parts = st.text(max_size=12) | st.sampled_from(["..", "a/b", "%2F", "move", "x.json", "\0", "[input]"])
    bodies = st.binary(max_size=40) | st.sampled_from([b"{}", b"[]", b"null", b'"a"', b"1e999", b'{"a":' * 200])
    routes = [
        ("GET", "/view"), ("GET", "/userdata"), ("GET", "/v2/userdata"), ("GET", "/userdata/{}"),
        ("POST", "/userdata/{}"), ("DELETE", "/userdata/{}"), ("POST", "/userdata/{}/move/{}"), ("GET", "/settings/{}"),
        ("POST", "/settings/{}"), ("POST", "/settings"), ("GET", "/object_info/{}"), ("GET", "/templates/{}"),
        ("GET", "/docs/{}/{}"), ("GET", "/internal/files/{}"), ("DELETE", "/internal/files/input/{}"),
        ("GET", "/experiment/models/{}"), ("GET", "/models/{}"), ("GET", "/global_subgraphs/{}"),
        ("POST", "/upload/image"), ("POST", "/upload/mask"), ("POST", "/ui/token"),
    ]  # fmt: skip
    names = ("filename", "subfolder", "type", "preview", "channel", "dir", "path", "recurse", "full_info", "overwrite")

    @seed(1)
    @settings(max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(routes), st.tuples(parts, parts), st.dictionaries(st.sampled_from(names), parts), bodies)
    def check(route, filled, query, body):
        path = route[1].format(*(quote(each, safe="", errors="surrogatepass") for each in filled))
        how = {"files": {"image": (filled[0] or "a", body)}, "data": {"original_ref": filled[1]}}
        answer = client.request(route[0], f"/api{path}", params=query,
                                **(how if route[1].startswith("/upload") else {"content": body}))  # fmt: skip
        assert answer.status_code < 500, (route, filled, query, body, answer.text)

    check()
