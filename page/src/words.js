// What the page says, in English and Chinese.

// What a refinement says of its changes and checks in English (limner/improve/changes.py, scoring.py).
const IN_CHINESE = [
  [/^as asked$/, "按原话"], [/^said as a list$/, "改成逐个列出"], [/^variety (\S+)$/, "变化 $1"],
  [/^another seed$/, "换种子"], [/^the things drawn one by one$/, "逐个画出各物再拼合"], [/^another style$/, "换风格"],
  [/^the best redrawn, strength (\S+)$/, "在最好的一张上重画，程度 $1"],
  [/^guidance (\S+)$/, "引导 $1"], [/^(\d+) steps$/, "步数 $1"],
  [/^make all of (.+) (\S+)$/, (_, thing, colour) => `把${chinese(thing)}全部变成${COLOURS[colour] ?? colour}`],
  [/^replace (.+) with (\S+) (.+)$/, (_, thing, count, other) => `把${chinese(thing)}换成 ${count === "a" ? 1 : count} 个 ${other}`],
  [/^make the (.+) bigger$/, (_, thing) => `把${chinese(thing)}放大`],
  [/^(\d+) x (.+)$/, (_, count, thing) => `${count} 个${chinese(thing)}`],
  [/^(.+) (left|right) of (.+)$/, (_, one, side, other) => `${chinese(one)}在${chinese(other)}的${side === "left" ? "左边" : "右边"}`],
  [/^(.+) (above|below) (.+)$/, (_, one, side, other) => `${chinese(one)}在${chinese(other)}的${side === "above" ? "上面" : "下面"}`],
];
const COLOURS = {
  black: "黑色", white: "白色", grey: "灰色", red: "红色", orange: "橙色", yellow: "黄色", green: "绿色",
  turquoise: "青绿色", blue: "蓝色", purple: "紫色", pink: "粉色", brown: "棕色",
};

/** A sentence of a refinement in Chinese; the user's own words stay. */
function chinese(said) {
  for (const [pattern, replaced] of IN_CHINESE) {
    if (pattern.test(said)) return said.replace(pattern, replaced);
  }
  const [first, ...rest] = said.split(" ");
  return COLOURS[first] && rest.length ? `${COLOURS[first]}的${rest.join(" ")}` : said; // an orange is a thing
}

const CATEGORIES_IN_CHINESE = {
  sexual: "色情", "sexual/minors": "涉及未成年人", hate: "仇恨", violence: "暴力", "self-harm": "自残", profanity: "粗口",
};

// Errors by their codes (docs/serving.md); where the server's own sentence says more, it follows a colon.
const REFUSED_IN_CHINESE = {
  unreachable: "连接不上服务器，请稍后再试。",
  invalid_api_key: "服务器不认识这个密钥。", permission_denied: "这个密钥没有这项权限。",
  rate_limit_exceeded: "请求太频繁，请稍后再试。", quota_exceeded: "这个密钥今天剩下的张数不够了。",
  queue_full: "正在等待的人太多，请稍后再试。", timeout: "画得太久，已经停止，请再试一次。",
  not_ready: "模型正在加载，请稍候。", stopping: "服务器正在关闭，请稍后再试。",
  interrupted: "已经停止。", internal_error: "服务器出错了，原因在服务器的日志里。",
  bad_gateway: "服务器所用的另一项服务没有正常回答：", unknown_host: "服务器不接受用这个地址访问：",
  model_not_found: "服务器上没有这个模型。", model_not_loaded: "这个模型无法加载，原因在服务器的日志里。",
  not_found: "这张图片不存在，或者已经删除。", no_index: "这个服务器没有图片索引。",
  moderation_blocked: (error) => {
    const found = (error.moderation_details?.categories ?? []).map((each) => CATEGORIES_IN_CHINESE[each] ?? each);
    return `内容审核没有通过：${found.join("、")}。`;
  },
  invalid_prompt: "这段文字不能画：", invalid_image: "这张图片不能用：",
  image_too_large: "图片太大。", body_too_large: "发送的内容太大。", too_many_images: "图片太多。",
  not_drawn_here: "只有 limner 画的图片才能用文字修改，这张没有绘制记录。可以局部重画，或整张修改。",
  drawn_by_another_model: "这张图片是另一个模型画的，不能用文字修改。可以局部重画，或整张修改。",
  instruction_not_understood: "没有看懂要改什么。可以这样说：把猫变成蓝色、加一顶帽子、去掉狗、换成夜晚。",
  instruction_too_long: "修改的话太长了。", too_many_instructions: "这张图片已经改了太多次。",
  no_plan: "这张图片是由另一张改成的，不能再用文字修改。可以局部重画，或整张修改。", not_in_picture: "图片里没有要改的东西：",
  ambiguous_instruction: "图片里有几样东西都符合，请把颜色也说上：", nothing_to_change: "图片已经是这样了，没有什么可改的。",
  unknown_thing: "模型不认识要画的东西：", too_many_things: "一张图片里放不下这么多东西。",
  transparent_background: "背景是透明的，不能改背景。",
  unsupported_parameter: "这里做不到：", invalid_value: "服务器不接受：", missing_required_parameter: "还缺少内容：",
};

export const WORDS = {
  en: {
    title: "limner", hint: "Type what you want to see", examples: "Try",
    model: "Model", style: "Style", any: "any", size: "Size", pictures: "Pictures", variety: "Variety",
    steps: "Steps", guidance: "Guidance", seed: "Seed", lock: "Keep this seed",
    unlock: "New seed each time", again: "Draw others", history: "History", clear: "Clear history",
    download: "Download", transparent: "PNG without background", copy: "Copy as",
    all: "All of these", transparentAll: "ZIP without background", print: "Print",
    gap: " ", errors: { unreachable: "The server cannot be reached; try again in a moment." },
    command: "command", copied: "Copied", drawnAs: "drawn as", rewrite: "Rewrite my words", rewrittenAs: "rewritten as", unsure: "unlike anything known:",
    offline: "The server cannot be reached. Trying again …", key: "This server asks for a key",
    enter: "Enter", language: "中文", drawing: "drawing", took: "ms",
    chosen: "Picture", empty: "Your pictures will be here.", settings: "Settings", use: "Use again",
    judge: "What do you think?", good: "Good", bad: "Bad", best: "Best of these",
    fromPicture: "From a picture (drop one here)", vary: "Draw it otherwise",
    sources: "Training drawings behind it", isCopy: "a copy", keep: "Keep", isKept: "Kept",
    gallery: "Gallery", searchGallery: "Search what is kept", open: "Open", varyKept: "Draw others of it",
    remove: "Delete", sure: "Delete this picture?", more: "More", noneFound: "Nothing like that is kept.",
    noneKept: "Nothing is kept yet.", findLike: "Find its like", likeYours: "Like your picture",
    change: "Change", toChange: "Picture to change", changes: {
      say: "in words", part: "a part", whole: "as a whole", restore: "restore",
    },
    where: "Where (or draw a box)", drawnBox: "the box you drew", places: {
      centre: "middle", left: "left half", right: "right half", top: "upper half", bottom: "lower half",
    },
    strength: "How far", task: "Remove", tasks: {
      auto: "what is seen", denoise: "noise", deblur: "blur", deblock: "JPEG artefacts",
      upscale: "nothing, enlarge it", colorize: "nothing, colour it",
    },
    asked: { say: "What is to change", part: "What is to be there", whole: "What it is to show" },
    asking: { say: "make the cat blue · add a hat · at night", part: "a red apple", whole: "a fox" },
    refine: "Refine", stop: "Stop", refining: "Drawing it until it shows what was asked …",
    refined: (count, before, after) => `Best of ${count}: score ${before.toFixed(2)} → ${after.toFixed(2)}`,
    tried: (said) => said,
    longest: (most) => `A prompt has at most ${most.toLocaleString("en")} characters; the rest is left out.`,
    trace: "trace", missed: "missed", colon: ": ", isBest: "the best", score: "score",
    choose: "Choose among more", chooses: {
      "": "no", best: "what fits the words", liked: "what I like",
    },
    working: "One moment …", leave: "Leave this picture", undo: "Undo", notCopied: "This browser does not let a page copy.",
    wrongKey: "The server does not know this key.", sureHistory: "Delete the pictures of this browser's history?",
    drawn: (count) => (count === 1 ? "1 picture is drawn." : `${count} pictures are drawn.`),
    themes: { "": "Colours: as this device has them", light: "Colours: light", dark: "Colours: dark" },
    restored: (row) => `Restored: ${row.summary}.`,
    explain: "Explain", explaining: "Drawing it without each word …", whereIs: "where the word is",
    without: "without this word", changesNothing: "The picture is the same without it.",
    apply: "Change it", close: "Close",
    flagged: "Flagged", categories: {
      sexual: "sexual", "sexual/minors": "sexual, minors", hate: "hate", violence: "violence",
      "self-harm": "self-harm", profanity: "profanity",
    },
    sample: ["a fox in the snow at night", "three red apples on a blue plate", "夕阳下的灯塔",
      "un chat avec un chapeau", "a wizard riding a dragon", "a cup of coffee, line drawing"],
  },
  zh: {
    title: "limner", hint: "输入想看到的画面", examples: "试试",
    model: "模型", style: "风格", any: "任意", size: "尺寸", pictures: "张数", variety: "变化",
    steps: "步数", guidance: "引导", seed: "种子", lock: "固定种子",
    unlock: "每次换种子", again: "再画几张", history: "历史", clear: "清空历史",
    download: "下载", transparent: "透明背景 PNG", copy: "复制为",
    all: "全部", transparentAll: "透明背景 ZIP", print: "打印", gap: "", errors: REFUSED_IN_CHINESE,
    command: "命令", copied: "已复制", drawnAs: "画成", rewrite: "改写我的话", rewrittenAs: "改写为", unsure: "没有认识的东西相近：",
    offline: "连接不上服务器，正在重试……", key: "此服务器需要密钥",
    enter: "确定", language: "English", drawing: "绘制中", took: "毫秒",
    chosen: "图片", empty: "画好的图片会出现在这里。", settings: "设置", use: "再次使用",
    judge: "觉得怎么样？", good: "好", bad: "不好", best: "这张最好",
    fromPicture: "从图片开始（拖到这里）", vary: "换个样子画",
    sources: "所依据的训练图画", isCopy: "与原图相同", keep: "保存", isKept: "已保存",
    gallery: "画廊", searchGallery: "搜索已保存的图片", open: "打开", varyKept: "再画几张类似的",
    remove: "删除", sure: "删除这张图片？", more: "更多", noneFound: "没有找到。",
    noneKept: "还没有保存图片。", findLike: "找相似的", likeYours: "与你的图片相似",
    change: "修改", toChange: "要修改的图片", changes: {
      say: "用文字", part: "局部重画", whole: "整张", restore: "修复",
    },
    where: "位置（或拖出一个框）", drawnBox: "你画的框", places: {
      centre: "中间", left: "左半", right: "右半", top: "上半", bottom: "下半",
    },
    strength: "程度", task: "去除", tasks: {
      auto: "自动判断", denoise: "噪点", deblur: "模糊", deblock: "JPEG 痕迹",
      upscale: "不去除，只放大", colorize: "不去除，只上色",
    },
    asked: { say: "要改什么", part: "这里画什么", whole: "画成什么" },
    asking: { say: "把猫变成蓝色 · 加一顶帽子 · 换成夜晚", part: "一个红苹果", whole: "一只狐狸" },
    refine: "改进", stop: "停止", refining: "正在反复画，直到符合文字……",
    refined: (count, before, after) => `${count} 张中最好的：得分 ${before.toFixed(2)} → ${after.toFixed(2)}`,
    tried: chinese,
    longest: (most) => `最多 ${most} 个字，其余的已略去。`,
    trace: "过程", missed: "缺少", colon: "：", isBest: "最好", score: "得分",
    choose: "多画几张来挑选", chooses: { "": "不挑选", best: "最符合文字的", liked: "我喜欢的" },
    working: "请稍候……", leave: "不用这张图片", undo: "撤销", notCopied: "浏览器不允许网页复制。",
    wrongKey: REFUSED_IN_CHINESE.invalid_api_key, sureHistory: "删除此浏览器的历史图片？",
    drawn: (count) => `画好了 ${count} 张图片。`,
    themes: { "": "颜色：跟随设备", light: "颜色：浅色", dark: "颜色：深色" },
    restored: ({ removed }) => {
      const names = { noise: "噪点", blur: "模糊", jpeg: "JPEG 痕迹", fade: "褪色", scratches: "划痕", scale: "放大", grey: "上色" };
      const found = Object.keys(removed).filter((each) => names[each]).map((each) => names[each]);
      return found.length ? `已修复：${found.join("、")}。` : "没有发现要修复的。";
    },
    explain: "解释", explaining: "正在逐词去掉重画……", whereIs: "这个词在哪里",
    without: "去掉这个词", changesNothing: "去掉它，画面不变。",
    apply: "修改", close: "关闭",
    flagged: "已标记", categories: CATEGORIES_IN_CHINESE,
    sample: ["雪夜里的狐狸", "蓝盘子上的三个红苹果", "夕阳下的灯塔", "戴帽子的猫",
      "骑自行车的女孩", "a rocket, pixel art"],
  },
};

export function preferred() {
  const saved = localStorage.getItem("limner-language");
  return saved || (navigator.language.startsWith("zh") ? "zh" : "en");
}
