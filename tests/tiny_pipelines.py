"""Pipelines of diffusers with random weights, small, in the hub's layout; one a family."""

from __future__ import annotations

import numpy as np
import torch

from optional_modules import needed

diffusers = needed("diffusers")
transformers = needed("transformers")
tokenizers = needed("tokenizers")

CHAT = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"

CHAT_OF_PARTS = (
    "{% for m in messages %}{{ m['role'] }}: {% for p in m['content'] %}{{ p['text'] }}"
    "{% endfor %}\n{% endfor %}"
)


def byte_tokenizer(length=77, **named):
    """Single bytes; the special tokens come first, then those that are named."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    special = ["<pad>", "<s>", "</s>", "<unk>", *named.values()]
    model = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={c: i for i, c in enumerate([*special, *alphabet])}, merges=[])
    )
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = tokenizers.decoders.ByteLevel()
    model.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    found = transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", model_max_length=length, extra_special_tokens=named,
    )  # fmt: skip
    found.chat_template = CHAT
    return found


def _clip(projection=False, width=32):
    config = transformers.CLIPTextConfig(
        hidden_size=width, intermediate_size=37, num_attention_heads=4, num_hidden_layers=2,
        vocab_size=300, projection_dim=32, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    kind = "CLIPTextModelWithProjection" if projection else "CLIPTextModel"
    return getattr(transformers, kind)(config).eval()


def _t5(width=32):
    config = transformers.T5Config(
        vocab_size=300, d_model=width, d_kv=8, d_ff=37, num_layers=1, num_heads=4, pad_token_id=0
    )
    return transformers.T5EncoderModel(config).eval()


def _qwen3(layers=2, width=16):
    config = transformers.Qwen3Config(
        hidden_size=width, intermediate_size=16, num_hidden_layers=layers, num_attention_heads=2,
        num_key_value_heads=2, vocab_size=300, head_dim=8, max_position_embeddings=512,
    )  # fmt: skip
    return transformers.Qwen3Model(config).eval()


def _vae(channels=4, quant=True, **more):
    return diffusers.AutoencoderKL(
        block_out_channels=(32, 64), in_channels=3, out_channels=3, latent_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        use_quant_conv=quant, use_post_quant_conv=quant, **more,
    )  # fmt: skip


def _qwen_vae():
    return diffusers.AutoencoderKLQwenImage(
        base_dim=12, z_dim=4, dim_mult=[1, 2, 4, 4], num_res_blocks=1,
        temperal_downsample=[False, True, True], latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip


def _unet(width=32, **more):
    return diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=16, in_channels=4,
        out_channels=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=width, **more,
    )  # fmt: skip


def stable_diffusion():
    return diffusers.StableDiffusionPipeline(
        vae=_vae(), text_encoder=_clip(), tokenizer=byte_tokenizer(), unet=_unet(),
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
            set_alpha_to_one=False, steps_offset=1,
        ),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def stable_diffusion_xl():
    unet = _unet(
        64, attention_head_dim=(2, 4), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=80,
    )  # fmt: skip
    return diffusers.StableDiffusionXLPipeline(
        vae=_vae(), text_encoder=_clip(), text_encoder_2=_clip(True), tokenizer=byte_tokenizer(),
        tokenizer_2=byte_tokenizer(), unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
            timestep_spacing="leading",
        ),
        add_watermarker=False,
    )  # fmt: skip


def stable_diffusion_3():
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=16, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8,
        num_attention_heads=4, caption_projection_dim=32, joint_attention_dim=32,
        pooled_projection_dim=64, out_channels=4,
    )  # fmt: skip
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(quant=False, shift_factor=0.0609, scaling_factor=1.5035),
        text_encoder=_clip(True), tokenizer=byte_tokenizer(), text_encoder_2=_clip(True),
        tokenizer_2=byte_tokenizer(), text_encoder_3=_t5(), tokenizer_3=byte_tokenizer(),
    )  # fmt: skip


def flux():
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8), guidance_embeds=True,
    )  # fmt: skip
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), text_encoder=_clip(),
        vae=_vae(1, quant=False, shift_factor=0.0609, scaling_factor=1.5035),
        tokenizer=byte_tokenizer(), text_encoder_2=_t5(), tokenizer_2=byte_tokenizer(),
        transformer=transformer,
    )  # fmt: skip


def z_image():
    transformer = diffusers.ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=16, dim=32, n_layers=2,
        n_refiner_layers=1, n_heads=2, n_kv_heads=2, qk_norm=True, cap_feat_dim=16,
        rope_theta=256.0, t_scale=1000.0, axes_dims=[8, 4, 4], axes_lens=[256, 32, 32],
    )  # fmt: skip
    return diffusers.ZImagePipeline(
        transformer=transformer, vae=_vae(16, shift_factor=0.0609, scaling_factor=0.3611),
        text_encoder=_qwen3(), tokenizer=byte_tokenizer(512),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def qwen_image():
    transformer = diffusers.QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=2, attention_head_dim=16,
        num_attention_heads=3, joint_attention_dim=16, guidance_embeds=False,
        axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 300,
            "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
            "rope_theta": 1000000.0,
        },
        vision_config={
            "depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
            "out_hidden_size": 16,
        },
        hidden_size=16, vocab_size=300, vision_end_token_id=4, vision_start_token_id=5,
        vision_token_id=6,
    )  # fmt: skip
    return diffusers.QwenImagePipeline(
        transformer=transformer, vae=_qwen_vae(), tokenizer=byte_tokenizer(512),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=transformers.Qwen2_5_VLForConditionalGeneration(config).eval(),
    )  # fmt: skip


def flux_2_klein():
    transformer = diffusers.Flux2Transformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=48, timestep_guidance_channels=256,
        axes_dims_rope=[4, 4, 4, 4], guidance_embeds=False,
    )  # fmt: skip
    vae = diffusers.AutoencoderKLFlux2(
        sample_size=32, block_out_channels=(4,), layers_per_block=1, latent_channels=1,
        norm_num_groups=1, down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
    )  # fmt: skip
    return diffusers.Flux2KleinPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), vae=vae,
        text_encoder=transformers.Qwen3ForCausalLM(_qwen3(28).config).eval(),
        tokenizer=byte_tokenizer(512), transformer=transformer, is_distilled=False,
    )  # fmt: skip


def sana():
    transformer = diffusers.SanaTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2,
        attention_head_dim=4, num_cross_attention_heads=2, cross_attention_head_dim=4,
        cross_attention_dim=8, caption_channels=8, sample_size=32,
    )  # fmt: skip
    vae = diffusers.AutoencoderDC(
        in_channels=3, latent_channels=4, attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)), decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1), decoder_layers_per_block=[1, 1],
        downsample_block_type="conv", upsample_block_type="interpolate",
        decoder_norm_types="rms_norm", decoder_act_fns="silu", scaling_factor=0.41407,
    )  # fmt: skip
    return diffusers.SanaPipeline(
        tokenizer=byte_tokenizer(512),
        text_encoder=_gemma2(8),
        vae=vae,
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
    )


def _gemma2(width):
    config = transformers.Gemma2Config(
        head_dim=16, hidden_size=width, intermediate_size=64, max_position_embeddings=8192,
        num_attention_heads=2, num_hidden_layers=1, num_key_value_heads=2, vocab_size=300,
    )  # fmt: skip
    return transformers.Gemma2Model(config).eval()


def lumina_2():
    transformer = diffusers.Lumina2Transformer2DModel(
        sample_size=4, patch_size=2, in_channels=4, hidden_size=8, num_layers=2,
        num_attention_heads=1, num_kv_heads=1, multiple_of=16, ffn_dim_multiplier=None,
        norm_eps=1e-5, scaling_factor=1.0, axes_dim_rope=[4, 2, 2], cap_feat_dim=8,
    )  # fmt: skip
    return diffusers.Lumina2Pipeline(
        transformer=transformer, vae=_vae(quant=False, shift_factor=0.06, scaling_factor=1.5),
        text_encoder=_gemma2(8), tokenizer=byte_tokenizer(512),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def pixart_sigma():
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=8, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=3,
        caption_channels=32, in_channels=4, cross_attention_dim=24, out_channels=8,
        attention_bias=True, activation_fn="gelu-approximate", num_embeds_ada_norm=1000,
        norm_type="ada_norm_single", norm_elementwise_affine=False, norm_eps=1e-6,
    )  # fmt: skip
    return diffusers.PixArtSigmaPipeline(
        tokenizer=byte_tokenizer(),
        text_encoder=_t5(),
        vae=_vae(),
        transformer=transformer,
        scheduler=diffusers.DDIMScheduler(),
    )


def krea_2():
    transformer = diffusers.Krea2Transformer2DModel(
        in_channels=16, num_layers=2, attention_head_dim=16, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=64, timestep_embed_dim=16, text_hidden_dim=16,
        num_text_layers=3, text_num_attention_heads=2, text_num_key_value_heads=1,
        text_intermediate_size=32, num_layerwise_text_blocks=1, num_refiner_text_blocks=1,
        axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    config = transformers.Qwen3VLConfig(
        text_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 4,
            "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 300, "head_dim": 8,
            "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default"},
        },
        vision_config={
            "depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
            "out_hidden_size": 16, "deepstack_visual_indexes": [0],
        },
        image_token_id=4, video_token_id=5, vision_start_token_id=6, vision_end_token_id=7,
    )  # fmt: skip
    return diffusers.Krea2Pipeline(
        transformer=transformer, vae=_qwen_vae(), tokenizer=byte_tokenizer(512),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=transformers.Qwen3VLModel(config).eval(),
        text_encoder_select_layers=(1, 2, 3),
    )  # fmt: skip


FAMILIES = {
    maker.__name__: maker
    for maker in (
        stable_diffusion, stable_diffusion_xl, stable_diffusion_3, flux, z_image, qwen_image,
        flux_2_klein, sana, lumina_2, pixart_sigma, krea_2,
    )
}  # fmt: skip


def _write_janus(folder, text=(), side=4):
    named = {"image_token": "<image>", "boi_token": "<boi>", "eoi_token": "<eoi>"}
    words = byte_tokenizer(512, **named)
    text = {
        "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1,
        "eos_token_id": 2, **dict(text),
    }  # fmt: skip
    width = text["hidden_size"]
    vision = {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 8 * side,
        "patch_size": 8, "mlp_ratio": 1.0, "projection_dim": width, "num_image_tokens": side**2,
        "depth": 1,
    }  # fmt: skip
    codes = {
        "embed_dim": 4, "num_embeddings": 64, "latent_channels": 8, "base_channels": 32,
        "channel_multiplier": [1, 1, 1, 1], "num_res_blocks": 1, "projection_dim": width,
        "image_token_embed_dim": width, "num_hidden_layers": 1,
    }  # fmt: skip
    config = transformers.JanusConfig(
        text_config=text, vision_config=vision, vq_config=codes, image_token_id=4
    )
    network = transformers.JanusForConditionalGeneration(config).eval()
    for part in network.model.language_model.layers.parameters():
        part.data *= 1.0 if part.ndim == 1 else 10.0  # so that what was read before matters
    network.save_pretrained(folder)
    reads = transformers.JanusImageProcessorPil(size={"height": 8 * side, "width": 8 * side})
    transformers.JanusProcessor(
        reads, words, chat_template=CHAT_OF_PARTS, num_image_tokens=side**2
    ).save_pretrained(folder)


def _write_emu3(folder):
    codes = [f"<|visual token {code:06d}|>" for code in range(64)]
    named = {
        "image_token": "<image>", "boi_token": "<boi>", "eoi_token": "<eoi>",
        "image_wrapper_token": "<img>", "eof_token": "<eof>", "eol_token": "<|extra_200|>",
    }  # fmt: skip
    words = byte_tokenizer(512, **named, **{f"code_{i}": each for i, each in enumerate(codes)})
    text = {
        "vocab_size": len(words), "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 512, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    vision = {
        "codebook_size": 64, "embed_dim": 4, "latent_channels": 4, "base_channels": 32,
        "channel_multiplier": [1, 1, 1, 1], "num_res_blocks": 1, "attn_resolutions": [],
        "hidden_size": 32, "temporal_downsample_factor": 1,
    }  # fmt: skip
    vocabulary = {name: words.convert_tokens_to_ids(name)
                  for name in (*codes, "<image>", "<|extra_200|>")}  # fmt: skip
    config = transformers.Emu3Config(text_config=text, vq_config=vision, vocabulary_map=vocabulary)
    network = transformers.Emu3ForConditionalGeneration(config).eval()
    for part in network.model.text_model.layers.parameters():
        part.data *= 1.0 if part.ndim == 1 else 10.0  # so that what was read before matters
    network.save_pretrained(folder)
    transformers.Emu3Processor(
        transformers.Emu3ImageProcessor(spatial_factor=8), words
    ).save_pretrained(folder)


LANGUAGE_MODELS = {"janus": _write_janus, "emu3": _write_emu3}


def save_language_model(family, folder, **other):
    """One of :data:`LANGUAGE_MODELS` as the hub keeps it; the same weights every time."""
    torch.manual_seed(0)
    LANGUAGE_MODELS[family](folder, **other)
    return folder


def save_pipeline(family, folder):
    """One of :data:`FAMILIES` as the hub keeps it; the same weights every time."""
    torch.manual_seed(0)
    FAMILIES[family]().save_pretrained(folder)
    return folder


def save_pipelines(families, folder):
    """Several of them, each in a folder of its name; family -> folder."""
    return {family: save_pipeline(family, folder / family) for family in families}


def linked_copy(folder, copy):
    """A copy of a pipeline's folder, whose files are links but for what is changed then."""
    for path in folder.rglob("*"):
        if path.is_file():
            other = copy / path.relative_to(folder)
            other.parent.mkdir(parents=True, exist_ok=True)
            other.symlink_to(path)
    return copy


def photo():
    """A smooth picture, wider than high."""
    y, x = np.mgrid[:20, :32]
    bands = (128 + 100 * np.sin(x / 9), 90 + 3 * y, 255 - 4 * x)
    return np.stack(bands, -1).clip(0, 255).astype(np.uint8)


def pixels_of(picture):
    """What a drawn picture shows, as numbers that can be subtracted."""
    return np.asarray(picture.image).astype(int)
