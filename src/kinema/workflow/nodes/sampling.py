"""Nodes that sample, patch models and handle latents."""

from __future__ import annotations

from .declaration import Declaration, boolean, choice, integer, number, seed, size, socket, sockets, text

SAMPLERS = (
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2",
    "dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_sde_gpu",
    "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm", "ipndm",
    "ipndm_v", "deis", "res_multistep", "res_multistep_ancestral", "gradient_estimation", "er_sde", "seeds_2",
    "seeds_3", "sa_solver", "ddim", "uni_pc", "uni_pc_bh2",
)  # fmt: skip
SCHEDULES = (
    "simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic",
    "kl_optimal",
)  # fmt: skip
_STEPS, _CFG = integer("steps", 20, 1, 10_000), number("cfg", 8.0, 0, 100)
_SAMPLER, _SCHEDULE = choice("sampler_name", *SAMPLERS), choice("scheduler", *SCHEDULES)
_DENOISE = number("denoise", 1.0, 0, 1)
_SAMPLED = sockets("model MODEL, positive CONDITIONING, negative CONDITIONING, latent_image LATENT")

SAMPLING = (
    Declaration(
        "KSampler", (seed("seed"), _STEPS, _CFG, _SAMPLER, _SCHEDULE, *_SAMPLED, _DENOISE), ("LATENT",),
        "seed, steps and guidance of the request",
    ),
    Declaration(
        "KSamplerAdvanced",
        (choice("add_noise", "enable", "disable"), seed("noise_seed"), _STEPS, _CFG, _SAMPLER, _SCHEDULE, *_SAMPLED,
         integer("start_at_step", 0, 0, 10_000), integer("end_at_step", 10_000, 0, 10_000),
         choice("return_with_leftover_noise", "disable", "enable")),
        ("LATENT",), "seed, steps and guidance of the request", title="KSampler (Advanced)",
    ),
    Declaration(
        "SamplerCustom",
        (boolean("add_noise", True), seed("noise_seed"), _CFG,
         *sockets("model MODEL, positive CONDITIONING, negative CONDITIONING, sampler SAMPLER, sigmas SIGMAS, "
                  "latent_image LATENT")),
        ("LATENT", "LATENT"), "seed and guidance of the request",
    ),
    Declaration(
        "SamplerCustomAdvanced",
        sockets("noise NOISE, guider GUIDER, sampler SAMPLER, sigmas SIGMAS, latent_image LATENT"),
        ("LATENT", "LATENT"), "the run of the request",
    ),
    Declaration("RandomNoise", (seed("noise_seed"),), ("NOISE",), "the request's seed"),
    Declaration("KSamplerSelect", (_SAMPLER,), ("SAMPLER",), "the request's sampler"),
    Declaration(
        "BasicScheduler", (socket("model", "MODEL"), _SCHEDULE, _STEPS, _DENOISE), ("SIGMAS",),
        "the request's steps",
    ),
    Declaration(
        "CFGGuider", (*sockets("model MODEL, positive CONDITIONING, negative CONDITIONING"), _CFG), ("GUIDER",),
        "the request's guidance",
    ),
    Declaration("DisableNoise", (), ("NOISE",), "no noise of its own"),
    Declaration(
        "BasicGuider", sockets("model MODEL, conditioning CONDITIONING"), ("GUIDER",), "the request, without guidance"
    ),
    Declaration(
        "ModelSamplingSD3", (socket("model", "MODEL"), number("shift", 3.0, 0, 100)), ("MODEL",),
        "the option shift of the request",
    ),
    Declaration(
        "VideoLinearCFGGuidance", (socket("model", "MODEL"), number("min_cfg", 1.0, 0, 100)), ("MODEL",),
        "the option first_guidance of the request",
    ),
    Declaration(
        "CFGZeroStar", (socket("model", "MODEL"),), ("MODEL",), "a change of guidance"
    ),
    Declaration(
        "SkipLayerGuidanceDiT",
        (socket("model", "MODEL"), text("double_layers", "7, 8, 9"), text("single_layers", "7, 8, 9"),
         number("scale", 3.0, 0, 10), number("start_percent", 0.01, 0, 1), number("end_percent", 0.15, 0, 1),
         number("rescaling_scale", 0.0, 0, 10)),
        ("MODEL",), "a change of guidance",
    ),
    Declaration(
        "UNetTemporalAttentionMultiply",
        (socket("model", "MODEL"), *(number(name, 1.0, 0, 10) for name in
                                     ("self_structural", "self_temporal", "cross_structural", "cross_temporal"))),
        ("MODEL",), "nothing: it has no effect on transformers",
    ),
    Declaration(
        "WanContextWindowsManual",
        (socket("model", "MODEL"), integer("context_length", 81, 1, 1048576), integer("context_overlap", 30, 0),
         choice("context_schedule", "standard_static", "standard_uniform", "looped_uniform", "batched"),
         integer("context_stride", 1, 1), boolean("closed_loop", False),
         choice("fuse_method", "pyramid", "relative", "flat", "overlap-linear")),
        ("MODEL",), "windows in time",
    ),
    Declaration(
        "EmptyHunyuanLatentVideo",
        (*size(848, 480), integer("length", 25, 1, 16384), integer("batch_size", 1, 1, 4096)), ("LATENT",),
        "size and frames of the request",
    ),
    Declaration(
        "EmptyLatentImage", (*size(512, 512), integer("batch_size", 1, 1, 4096)), ("LATENT",),
        "the size of a still picture", missing="generating still pictures with Stable Diffusion",
    ),
    Declaration(
        "TrimVideoLatent", (socket("samples", "LATENT"), integer("trim_amount", 0, 0, 99999)), ("LATENT",),
        "nothing: Kinema drops the frames of a reference itself",
    ),
    Declaration(
        "VAEEncode", sockets("pixels IMAGE, vae VAE"), ("LATENT",), "a clip to begin from", title="VAE Encode"
    ),
    Declaration(
        "VAEDecode", sockets("samples LATENT, vae VAE"), ("IMAGE",), "the run's last part: decoding",
        title="VAE Decode",
    ),
)  # fmt: skip
