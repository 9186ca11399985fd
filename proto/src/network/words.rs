//! The 256 check words of invites and other lines that people carry, one per byte value. Part of the protocol: `spec/05-network.md`, appendix.

/// Word for each byte, in alphabetical order.
const WORDS: [&str; 256] = [
    "acorn", "amber", "anchor", "apple", "april", "apron", "arch", "arrow", "ash", "autumn", "badge", "bagel",
    "bamboo", "banjo", "barley", "basin", "basket", "beach", "beacon", "beaver", "bell", "berry", "birch", "bison",
    "blanket", "blossom", "boat", "bonnet", "bottle", "branch", "brass", "bread", "breeze", "brick", "bridge", "brook",
    "broom", "brush", "bucket", "butter", "button", "cabin", "cactus", "camel", "candle", "canoe", "canvas", "carrot",
    "castle", "cedar", "cellar", "chalk", "cherry", "chess", "chestnut", "chimney", "cider", "cinema", "circle",
    "clay", "cliff", "clock", "cloud", "clover", "coast", "cobble", "cocoa", "coconut", "comet", "compass", "copper",
    "coral", "cotton", "cradle", "crane", "cricket", "crown", "crystal", "curtain", "cushion", "daisy", "dance",
    "dawn", "deer", "desk", "diamond", "dolphin", "donkey", "door", "dove", "dragon", "drum", "duck", "eagle", "easel",
    "echo", "elbow", "elm", "ember", "engine", "fabric", "falcon", "feather", "fern", "ferry", "fiddle", "field",
    "fig", "finch", "flag", "flame", "flute", "forest", "fountain", "fox", "frost", "galaxy", "garden", "garlic",
    "gate", "ginger", "giraffe", "glass", "globe", "glove", "goat", "gold", "goose", "grape", "grass", "gravel",
    "guitar", "hammer", "harbour", "harp", "hazel", "hedge", "helmet", "heron", "hill", "honey", "horn", "horse",
    "igloo", "iris", "iron", "island", "ivory", "ivy", "jacket", "jade", "jam", "jasmine", "jewel", "jigsaw",
    "juniper", "kettle", "kite", "kitten", "ladder", "lagoon", "lake", "lamp", "lantern", "lark", "laurel", "lavender",
    "leaf", "lemon", "lentil", "lily", "linen", "lion", "lizard", "llama", "lobster", "locket", "lotus", "magnet",
    "mango", "maple", "marble", "market", "meadow", "melon", "mint", "mirror", "mitten", "moon", "moss", "moth",
    "mountain", "mustard", "nectar", "needle", "nest", "nettle", "north", "nutmeg", "oak", "oasis", "oat", "ocean",
    "olive", "onion", "opal", "orange", "orchard", "orchid", "otter", "oven", "owl", "oyster", "paddle", "palm",
    "panda", "paper", "parrot", "pasture", "peach", "pearl", "pebble", "pencil", "pepper", "piano", "pigeon", "pillow",
    "pine", "planet", "plum", "pocket", "pond", "poppy", "potato", "prairie", "pumpkin", "quartz", "quilt", "rabbit",
    "radish", "raft", "rain", "raven", "reed", "ribbon", "river", "robin", "rocket", "rose", "saddle", "saffron",
    "sail", "salmon", "sand", "scarf", "shell",
];

/// The words of the first four bytes of a digest, for people to compare by phone.
pub fn words_of(digest: &[u8; 32]) -> [&'static str; 4] {
    std::array::from_fn(|i| WORDS[usize::from(digest[i])])
}
