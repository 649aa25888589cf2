"""The things that scenes are made of: names, plurals, measure words and icons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# name | plural | Chinese | its measure word | labels of icons that show it
_TABLE = """
cat | cats | 猫 | 只 | cat, cat face, black cat
dog | dogs | 狗 | 只 | dog, dog face
fish | fish | 鱼 | 条 | fish, tropical fish
bird | birds | 鸟 | 只 | bird
duck | ducks | 鸭子 | 只 | duck
owl | owls | 猫头鹰 | 只 | owl
penguin | penguins | 企鹅 | 只 | penguin
chicken | chickens | 鸡 | 只 | chicken
rabbit | rabbits | 兔子 | 只 | rabbit, rabbit face
fox | foxes | 狐狸 | 只 | fox
bear | bears | 熊 | 只 | bear
panda | pandas | 熊猫 | 只 | panda
koala | koalas | 考拉 | 只 | koala
lion | lions | 狮子 | 只 | lion
tiger | tigers | 老虎 | 只 | tiger, tiger face
wolf | wolves | 狼 | 只 | wolf
monkey | monkeys | 猴子 | 只 | monkey, monkey face
mouse | mice | 老鼠 | 只 | mouse, mouse face
pig | pigs | 猪 | 头 | pig, pig face
cow | cows | 奶牛 | 头 | cow, cow face
horse | horses | 马 | 匹 | horse, horse face
elephant | elephants | 大象 | 头 | elephant
deer | deer | 鹿 | 只 | deer
unicorn | unicorns | 独角兽 | 只 | unicorn
frog | frogs | 青蛙 | 只 | frog
turtle | turtles | 乌龟 | 只 | turtle
snake | snakes | 蛇 | 条 | snake
crocodile | crocodiles | 鳄鱼 | 条 | crocodile
whale | whales | 鲸鱼 | 条 | whale, spouting whale
dolphin | dolphins | 海豚 | 只 | dolphin
shark | sharks | 鲨鱼 | 条 | shark
octopus | octopuses | 章鱼 | 只 | octopus
crab | crabs | 螃蟹 | 只 | crab
butterfly | butterflies | 蝴蝶 | 只 | butterfly
bee | bees | 蜜蜂 | 只 | honeybee
snail | snails | 蜗牛 | 只 | snail
spider | spiders | 蜘蛛 | 只 | spider
sunflower | sunflowers | 向日葵 | 朵 | sunflower
rose | roses | 玫瑰 | 朵 | rose
tulip | tulips | 郁金香 | 朵 | tulip
tree | trees | 树 | 棵 | deciduous tree
palm tree | palm trees | 棕榈树 | 棵 | palm tree
cactus | cactuses | 仙人掌 | 棵 | cactus
mushroom | mushrooms | 蘑菇 | 个 | mushroom
apple | apples | 苹果 | 个 | red apple, green apple
banana | bananas | 香蕉 | 根 | banana
lemon | lemons | 柠檬 | 个 | lemon
pear | pears | 梨 | 个 | pear
peach | peaches | 桃子 | 个 | peach
strawberry | strawberries | 草莓 | 个 | strawberry
pineapple | pineapples | 菠萝 | 个 | pineapple
tomato | tomatoes | 番茄 | 个 | tomato
watermelon | watermelons | 西瓜 | 个 | watermelon
carrot | carrots | 胡萝卜 | 根 | carrot
eggplant | eggplants | 茄子 | 个 | eggplant
pizza | pizzas | 披萨 | 个 | pizza
hamburger | hamburgers | 汉堡 | 个 | hamburger
cookie | cookies | 饼干 | 块 | cookie
doughnut | doughnuts | 甜甜圈 | 个 | doughnut
cake | cakes | 蛋糕 | 个 | shortcake, birthday cake
ice cream | ice creams | 冰淇淋 | 个 | ice cream, soft ice cream
car | cars | 汽车 | 辆 | automobile, sport utility vehicle
bus | buses | 公共汽车 | 辆 | bus
truck | trucks | 卡车 | 辆 | delivery truck
tractor | tractors | 拖拉机 | 辆 | tractor
bicycle | bicycles | 自行车 | 辆 | bicycle
motorcycle | motorcycles | 摩托车 | 辆 | motorcycle
train | trains | 火车 | 列 | train, locomotive
airplane | airplanes | 飞机 | 架 | airplane, small airplane
helicopter | helicopters | 直升机 | 架 | helicopter
rocket | rockets | 火箭 | 枚 | rocket
sailboat | sailboats | 帆船 | 艘 | sailboat
house | houses | 房子 | 座 | house, house with garden
castle | castles | 城堡 | 座 | castle
church | churches | 教堂 | 座 | church
tent | tents | 帐篷 | 顶 | tent
book | books | 书 | 本 | closed book, blue book, green book, orange book
bell | bells | 铃铛 | 个 | bell
key | keys | 钥匙 | 把 | key
umbrella | umbrellas | 雨伞 | 把 | umbrella
clock | clocks | 闹钟 | 个 | alarm clock
camera | cameras | 相机 | 台 | camera
television | televisions | 电视 | 台 | television
telephone | telephones | 电话 | 部 | telephone
guitar | guitars | 吉他 | 把 | guitar
violin | violins | 小提琴 | 把 | violin
trumpet | trumpets | 小号 | 把 | trumpet
hammer | hammers | 锤子 | 把 | hammer
crown | crowns | 皇冠 | 顶 | crown
hat | hats | 帽子 | 顶 | top hat, woman’s hat
shoe | shoes | 鞋 | 只 | running shoe, man’s shoe
dress | dresses | 连衣裙 | 条 | dress
t-shirt | t-shirts | T恤 | 件 | t-shirt
backpack | backpacks | 背包 | 个 | backpack
balloon | balloons | 气球 | 个 | balloon
gift | gifts | 礼物 | 个 | wrapped gift
candle | candles | 蜡烛 | 根 | candle
light bulb | light bulbs | 灯泡 | 个 | light bulb
pencil | pencils | 铅笔 | 支 | pencil
envelope | envelopes | 信封 | 个 | envelope
soccer ball | soccer balls | 足球 | 个 | soccer ball
basketball | basketballs | 篮球 | 个 | basketball
trophy | trophies | 奖杯 | 座 | trophy
star | stars | 星星 | 颗 | star
heart | hearts | 爱心 | 颗 | red heart, orange heart, yellow heart, green heart, blue heart, \
purple heart, brown heart, black heart
sun | suns | 太阳 | 个 | sun
cloud | clouds | 云 | 朵 | cloud
snowman | snowmen | 雪人 | 个 | snowman, snowman without snow
robot | robots | 机器人 | 个 | robot
ghost | ghosts | 幽灵 | 个 | ghost
"""


@dataclass(frozen=True)
class Thing:
    """Something that can be drawn, counted and named.

    Attributes:
        name: English, one of it.
        plural: English, several.
        zh: Chinese.
        measure: Chinese measure word.
        labels: English labels of icons that show it.
    """

    name: str
    plural: str
    zh: str
    measure: str
    labels: tuple[str, ...]

    @property
    def article(self) -> str:
        """English, ``a`` or ``an``."""
        return "an" if self.name[0] in "aeio" or self.name.startswith("umbrella") else "a"


def _parse(line: str) -> Thing:
    name, plural, zh, measure, labels = (part.strip() for part in line.split("|"))
    return Thing(name, plural, zh, measure, tuple(label.strip() for label in labels.split(",")))


THINGS: Mapping[str, Thing] = {
    thing.name: thing for thing in map(_parse, _TABLE.strip().replace("\\\n", "").splitlines())
}
"""Name -> thing."""

OF_LABEL: Mapping[str, Thing] = {
    label: thing for thing in THINGS.values() for label in thing.labels
}
"""Label of an icon -> the thing it shows."""
