#!/usr/bin/env python3
"""Draws the pictures of the bundled campaign: one flat drawing a product, as small SVG files.

The catalogue is invented, so its pictures are too. Everything is drawn from a few shapes, the
same way on every run. Run it here: `python3 make_pictures.py` writes pictures/*.svg and checks
that each product of catalogue.csv has one and that none is larger than 4 KB.
"""

import csv
import pathlib
import sys

BYTES_MAX = 4096
HERE = pathlib.Path(__file__).resolve().parent

# Wall and disc behind the things, by category.
ROOM = {
    "Audio": ("#dfe7ec", "#cddae2"),
    "Kitchen": ("#f3e6d6", "#ebd7bf"),
    "Home": ("#ece5f0", "#dfd4e6"),
    "Outdoor": ("#dfeadf", "#cbdccb"),
    "Sport": ("#e0eaf4", "#cbdcec"),
    "Fashion": ("#f4e3e0", "#ebd1cc"),
    "Toys": ("#f8ecce", "#f1deae"),
    "Tech": ("#e3e6ef", "#d1d6e5"),
    "Garden": ("#e6edd8", "#d5e0bf"),
    "Care": ("#dcedee", "#c6e0e2"),
}

INK, STEEL, PALE, WHITE = "#22313a", "#8fa1aa", "#eef2f2", "#ffffff"
TEAL, DEEP, SAND, CORAL, RUST = "#1f7a85", "#0f4c5c", "#e9c995", "#e4683f", "#b4451f"
WOOD, BARK, LEAF, MOSS, SUN = "#c99a66", "#9a6f43", "#5d9a5a", "#39703f", "#f2b544"
ROSE, PLUM, SKY, NAVY, CREAM = "#d98880", "#7a4a6d", "#6fa8d0", "#27405f", "#fbf3e2"


def attrs(extra):
    return "".join(f' {name.replace("_", "-")}="{value}"' for name, value in extra.items())


def R(x, y, w, h, r, fill, **more):
    return f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{r}" fill="{fill}"{attrs(more)}/>'


def C(x, y, r, fill, **more):
    return f'<circle cx="{x}" cy="{y}" r="{r}" fill="{fill}"{attrs(more)}/>'


def E(x, y, rx, ry, fill, **more):
    return f'<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" fill="{fill}"{attrs(more)}/>'


def P(d, fill, **more):
    return f'<path d="{d}" fill="{fill}"{attrs(more)}/>'


def L(d, stroke, width, fill="none", **more):
    """A line with round ends."""
    return (f'<path d="{d}" fill="{fill}" stroke="{stroke}" stroke-width="{width}" '
            f'stroke-linecap="round" stroke-linejoin="round"{attrs(more)}/>')


def T(how, *parts):
    return f'<g transform="{how}">{"".join(parts)}</g>'


def shine(d, width=8):
    return L(d, WHITE, width, opacity=".35")


def shade(d):
    return P(d, "#000", opacity=".12")


def each(make, values):
    return "".join(make(value) for value in values)


# ---- Audio

def headphones():
    return (L("M128 196v-26a72 72 0 0 1 144 0v26", INK, 15) + L("M140 150a62 62 0 0 1 40-42", STEEL, 4)
            + R(104, 172, 42, 82, 20, TEAL) + R(254, 172, 42, 82, 20, TEAL)
            + R(138, 180, 16, 66, 8, DEEP) + R(246, 180, 16, 66, 8, DEEP)
            + shine("M116 192v34", 6) + C(275, 214, 9, DEEP))


def earbuds():
    bud = lambda turn: T(turn, R(-7, -6, 14, 56, 7, PALE), C(0, -8, 21, WHITE), C(3, -8, 9, STEEL), R(-7, 42, 14, 8, 4, STEEL))
    return (bud("translate(160 116) rotate(-14)") + bud("translate(240 116) rotate(14) scale(-1 1)")
            + R(132, 176, 136, 84, 40, CORAL) + P("M132 214a40 40 0 0 1 40-38h56a40 40 0 0 1 40 38z", "#f08763")
            + R(132, 212, 136, 4, 0, RUST) + C(200, 236, 5, CREAM) + shine("M156 196q8-8 22-8", 6))


def speaker():
    dots = each(lambda x: C(x, 110, 3, CREAM), (176, 192, 208, 224))
    return (L("M268 120q40 10 30 54", RUST, 8) + R(130, 88, 140, 172, 34, DEEP) + R(138, 96, 124, 156, 28, "#14606f")
            + C(200, 190, 50, INK) + C(200, 190, 42, "#36464f") + C(200, 190, 20, STEEL) + C(200, 190, 12, INK)
            + dots + shine("M150 128v70", 7))


def soundbar():
    holes = each(lambda x: R(x, 214, 4, 26, 2, "#33454f"), range(86, 300, 11))
    return (R(232, 92, 96, 112, 14, "#3b4a55") + C(280, 148, 36, INK) + C(280, 148, 26, "#4d5f6b") + C(280, 148, 9, STEEL)
            + R(66, 198, 268, 58, 18, INK) + holes + R(306, 220, 14, 14, 7, TEAL) + shine("M84 206h150", 3))


def turntable():
    ring = lambda r: C(178, 170, r, "none", stroke="#3a4a52", stroke_width=2)
    return (R(84, 84, 232, 176, 18, WOOD) + R(84, 244, 232, 16, 8, BARK) + R(94, 94, 212, 146, 12, "#d8ad7b")
            + C(178, 168, 70, INK) + each(ring, (60, 50, 40)) + C(178, 168, 24, CORAL) + C(178, 168, 4, CREAM)
            + C(282, 112, 17, PALE) + L("M282 112v58l-42 38", STEEL, 8) + R(226, 200, 26, 15, 5, INK) + C(284, 222, 8, PALE))


def radio():
    grill = each(lambda y: R(110, y, 90, 5, 2, "#b98a58"), range(156, 236, 14))
    return (L("M272 122L314 62", STEEL, 5) + C(314, 62, 6, STEEL) + L("M130 126v-18q0-14 14-14h84q14 0 14 14v18", BARK, 9)
            + R(84, 122, 232, 138, 26, TEAL) + R(96, 134, 208, 114, 18, CREAM) + grill
            + R(218, 148, 72, 38, 8, DEEP) + L("M234 156v22", SUN, 3) + L("M246 167h34", "#7fb4ba", 3)
            + C(236, 218, 16, BARK) + C(276, 218, 16, BARK) + L("M236 218v-10M276 218l7-7", CREAM, 3))


# ---- Kitchen

def kettle():
    return (L("M150 214C104 204 128 138 80 128", STEEL, 15) + L("M246 136c66-14 74 84 12 88", INK, 14)
            + P("M138 250l18-112h88l18 112q0 12-14 12H152q-14 0-14-12z", "#a9b8bf") + shade("M222 138h22l18 112q0 12-14 12h-28z")
            + R(150, 126, 100, 16, 8, "#7e9099") + R(188, 104, 24, 24, 9, INK) + shine("M168 156l-10 78"))


def grinder():
    return (L("M200 96v-22h64", STEEL, 8) + C(266, 74, 14, WOOD) + P("M142 132q0-40 58-40t58 40z", "#7e9099")
            + P("M148 132h104l10 14H138z", INK) + R(140, 146, 120, 112, 12, WOOD) + R(132, 246, 136, 16, 7, BARK)
            + R(160, 184, 80, 50, 6, "#b5834f") + C(200, 210, 8, SAND) + shine("M154 160v70", 6)
            + each(lambda p: T(f"translate({p[0]} {p[1]}) rotate({p[2]})", E(0, 0, 9, 6, "#5a3a22"), L("M-6 0q6-3 12 0", "#3b2414", 1.5)), ((100, 256, 20), (120, 252, -30), (294, 256, 60), (282, 254, 5))))


def knives():
    knife = lambda x, blade, tall: (P(f"M{x} {166 - tall}q22 {tall * .35} 22 {tall}h-22z", blade) + R(x - 2, 164, 26, 12, 3, STEEL) + R(x, 174, 22, 78, 9, INK) + C(x + 11, 194, 3, STEEL) + C(x + 11, 230, 3, STEEL))
    return knife(118, "#c9d4d9", 86) + knife(166, "#b7c5cc", 116) + knife(214, "#c9d4d9", 100) + knife(262, "#b7c5cc", 66)


def pot():
    return (R(72, 176, 46, 22, 11, RUST) + R(282, 176, 46, 22, 11, RUST) + P("M100 160h200v66q0 36-36 36H136q-36 0-36-36z", CORAL)
            + shade("M262 160h38v66q0 36-36 36h-26q24-10 24-40z") + P("M96 164q0-54 104-54t104 54z", "#ee7d55") + R(92, 158, 216, 14, 7, RUST)
            + C(200, 102, 15, CREAM) + R(194, 108, 12, 8, 2, STEEL) + shine("M120 148q14-20 52-24") + shine("M118 188v34"))


def toaster():
    bread = lambda x: P(f"M{x} 150v-40q-8-26 16-26h26q24 0 16 26v40z", "#d9a15f") + P(f"M{x + 8} 150v-36q-6-20 12-20h18q18 0 12 20v36z", "#f0cf98")
    return (bread(130) + bread(212) + R(88, 136, 224, 122, 36, "#9fc0bd") + shade("M276 136a36 36 0 0 1 36 36v50a36 36 0 0 1-36 36h-20q22-10 22-36v-60q0-20-22-26z")
            + R(118, 132, 88, 10, 5, INK) + R(202, 132, 84, 10, 5, INK) + R(300, 172, 24, 14, 7, INK) + C(136, 226, 13, CREAM)
            + L("M136 226v-8", INK, 3) + R(110, 254, 34, 10, 4, INK) + R(256, 254, 34, 10, 4, INK) + shine("M110 170v44"))


def blender():
    return (R(166, 76, 68, 18, 8, INK) + P("M150 94h100l-14 104h-72z", "#d5e6ea") + P("M155 134h90l-9 64h-72z", "#e58aa0")
            + L("M248 108q38 6 22 60-6 18-28 20", "#b5cdd3", 9) + L("M176 198h48", INK, 12)
            + P("M158 204h84l14 46q2 12-10 12h-92q-12 0-10-12z", INK) + C(200, 234, 14, STEEL) + C(200, 234, 6, CORAL) + shine("M166 108l8 76", 7)
            + C(190, 160, 5, WHITE, opacity=".5") + C(212, 176, 4, WHITE, opacity=".5") + C(216, 150, 3, WHITE, opacity=".5"))


# ---- Home

def desk_lamp():
    return (P("M232 140l-74 122h156z", SUN, opacity=".28") + E(136, 258, 56, 10, INK) + L("M136 252l-16-88 92-56", DEEP, 9)
            + C(120, 164, 11, SUN) + T("translate(226 112) rotate(28)", P("M-34 36q0-58 34-58t34 58z", DEEP), E(0, 36, 34, 9, CREAM), R(-9, -34, 18, 16, 6, INK)))


def pendant():
    return (P("M106 188h188l46 132H60z", SUN, opacity=".25") + L("M200 0v84", INK, 4) + R(188, 76, 24, 22, 6, BARK)
            + C(200, 190, 22, "#ffe9b0") + P("M104 190q0-100 96-100t96 100z", RUST) + shade("M236 98q60 22 60 92h-40q4-60-20-92z")
            + R(100, 184, 200, 10, 5, "#8f3415") + shine("M126 168q6-42 42-58"))


def candles():
    def one(x, y, w, colour):
        mid = x + w / 2
        return (R(x, y, w, 262 - y, 8, colour) + E(mid, y + 3, w / 2, 8, WHITE, opacity=".35") + L(f"M{mid} {y + 2}v-12", INK, 3)
                + P(f"M{mid} {y - 46}q17 22 0 38-17-16 0-38z", SUN) + P(f"M{mid} {y - 30}q8 12 0 21-8-9 0-21z", CREAM))
    return one(118, 176, 52, "#b58bb0") + one(176, 128, 54, "#efe3d3") + one(238, 198, 52, PLUM)


def cushion():
    return (P("M106 98q94 24 188 0 14-4 12 10-14 68 0 136 2 14-12 10-94-24-188 0-14 4-12-10 14-68 0-136-2-14 12-10z", "#c9a9c4")
            + L("M150 110q-8 68 0 138M200 114v134M250 110q8 68 0 138", PLUM, 7) + L("M128 106q-10 70 0 144M272 106q10 70 0 144", CREAM, 3)
            + shine("M118 116q-4 30-4 50", 5) + C(110, 102, 7, PLUM) + C(290, 102, 7, PLUM) + C(110, 250, 7, PLUM) + C(290, 250, 7, PLUM))


def blanket():
    fold = lambda y, colour, line: R(96, y, 208, 40, 20, colour) + L(f"M120 {y + 20}h164", line, 3, stroke_dasharray="2 10")
    fringe = each(lambda x: L(f"M{x} 246v18", CREAM, 4), range(236, 300, 11))
    return (fold(222, "#a98aa4", CREAM) + fold(180, "#d8c2b0", PLUM) + fold(138, PLUM, "#d8b9d0")
            + P("M228 138h72v104q-36 12-72 0z", "#8d5a7f") + L("M240 150v88M264 150v92M288 150v88", "#c193b2", 3) + fringe)


def vase():
    leaf = lambda x, y, turn, colour: T(f"translate({x} {y}) rotate({turn})", P("M0 0q16-20 0-44-16 24 0 44z", colour))
    return (L("M196 170Q190 100 160 54M204 170q6-70 40-100M200 170V60", MOSS, 4)
            + leaf(160, 62, -28, LEAF) + leaf(172, 96, -70, MOSS) + leaf(184, 122, -60, LEAF) + leaf(243, 76, 34, LEAF) + leaf(226, 98, 74, MOSS) + leaf(214, 126, 66, LEAF) + leaf(200, 70, 2, MOSS)
            + P("M174 158h52q-6 20 14 38 24 22 14 48-6 18-26 18h-56q-20 0-26-18-10-26 14-48 20-18 14-38z", CREAM)
            + shade("M210 158h16q-6 20 14 38 24 22 14 48-6 18-26 18h-16q24-16 22-46-2-26-24-58z") + R(168, 152, 64, 12, 6, SAND) + L("M150 222q50 16 100 0", ROSE, 4))


# ---- Outdoor

def tent():
    return (L("M200 88L70 262M200 88l130 174", INK, 3) + P("M200 84L92 258h216z", CORAL) + P("M200 84l108 174h-54z", RUST)
            + P("M196 130l-40 128h84z", INK) + P("M196 130l-40 128-30 0q44-50 70-128z", SAND) + L("M92 258l-26 6M308 258l26 6", INK, 3)
            + R(84, 256, 232, 7, 3, MOSS) + C(296, 74, 22, SUN) + L("M118 226l72-118", "#f59b7a", 4))


def backpack():
    return (L("M178 96v-14q0-12 12-12h20q12 0 12 12v14", INK, 8) + R(116, 156, 34, 78, 15, MOSS) + R(250, 156, 34, 78, 15, MOSS)
            + R(130, 92, 140, 168, 48, LEAF) + P("M130 142q0-50 48-50h44q48 0 48 50v14q-70 22-140 0z", MOSS)
            + R(148, 186, 104, 62, 18, "#4b8850") + L("M160 206h80", SAND, 4) + R(164, 138, 14, 46, 4, BARK) + R(222, 138, 14, 46, 4, BARK)
            + R(160, 168, 22, 12, 3, SAND) + R(218, 168, 22, 12, 3, SAND) + shine("M148 128q4-18 18-22", 6))


def bottle():
    return (R(178, 62, 44, 30, 9, INK) + L("M186 62v-8q0-6 6-6h16q6 0 6 6v8", INK, 6) + P("M176 96h48v10q18 10 18 34v104q0 18-18 18h-48q-18 0-18-18V140q0-24 18-34z", SKY)
            + shade("M216 96h8v10q18 10 18 34v104q0 18-18 18h-22q14-4 14-20z") + R(176, 90, 48, 9, 3, STEEL) + P("M158 206l22-26 18 18 20-28 24 32v26h-84z", NAVY) + C(222, 158, 8, CREAM) + shine("M172 138v54"))


def lantern():
    return (C(200, 176, 104, SUN, opacity=".25") + L("M158 120q0-62 42-62t42 62", INK, 6) + R(160, 108, 80, 20, 8, MOSS) + R(168, 126, 64, 94, 10, "#fff0c2")
            + P("M200 142q26 34 0 62-26-28 0-62z", SUN) + P("M200 168q12 18 0 32-12-14 0-32z", CREAM) + L("M176 126v94M224 126v94", INK, 4)
            + R(152, 216, 96, 44, 12, MOSS) + C(200, 238, 9, SAND) + shine("M164 228v18", 5))


def hammock():
    trunk = lambda x: R(x, 40, 22, 222, 9, BARK) + L(f"M{x + 7} 70v150", "#b98a58", 3)
    strands = L("M120 160q80 82 160 0M140 150q60 66 120 0", CREAM, 3)
    return (C(66, 62, 40, LEAF) + C(336, 58, 46, LEAF) + C(96, 48, 26, MOSS) + C(310, 42, 26, MOSS) + trunk(56) + trunk(322) + L("M70 118l46 22M330 118l-46 22", SAND, 5)
            + P("M112 134q88 68 176 0 8 84-88 96-96-12-88-96z", CORAL) + P("M112 134q88 68 176 0-18 46-88 46t-88-46z", RUST) + strands + E(150, 150, 26, 12, CREAM, transform="rotate(24 150 150)"))


def binoculars():
    tube = (P("M-26 -62h44l10 92h-64z", INK) + R(-44, 24, 80, 60, 14, "#364952") + E(-4, 84, 34, 10, "#15212a") + E(-4, 84, 25, 7, TEAL) + R(-28, -80, 48, 22, 8, "#4a5e68") + L("M-22 -40l-6 60", STEEL, 5, opacity=".6"))
    return T("translate(152 164)", tube) + T("translate(248 164) scale(-1 1)", tube) + R(178, 128, 44, 58, 12, MOSS) + C(200, 122, 13, SAND) + L("M128 92Q90 40 64 120M272 92q38-52 64 28", BARK, 5)


# ---- Sport

def kettlebell():
    return (L("M162 160C138 68 262 68 238 160", INK, 22) + P("M138 206a62 62 0 1 1 124 0q0 36-26 56h-72q-26-20-26-56z", INK)
            + P("M138 206a62 62 0 0 1 8-30q54 30 108 0a62 62 0 0 1 8 30q-62 34-124 0z", TEAL) + R(184, 214, 32, 24, 6, PALE) + L("M192 232v-12l8 8 8-8v12", INK, 3) + shine("M156 240q-8-20-2-34", 6))


def yoga_mat():
    return (P("M122 200l172-84q30-8 36 26L150 252z", SKY) + P("M150 252l180-88v-22q0 40-180 114z", "#4a83ad") + C(132, 224, 38, SKY) + C(132, 224, 38, "none", stroke="#4a83ad", stroke_width=5)
            + L("M132 224m-25 0a25 25 0 1 1 25 25M132 224m-13 0a13 13 0 1 1 13 13", "#4a83ad", 5) + L("M196 164q28 10 30 54M258 134q28 10 30 54", CORAL, 8))


def shoe(upper, dark, stripe):
    laces = each(lambda p: L(f"M{p[0]} {p[1]}l20-9", CREAM, 5), ((174, 158), (190, 170), (206, 182)))
    return (P("M84 232q-8-46 6-92 30 22 66-8 30 44 84 58 62 12 72 30 6 12-2 26H84z", upper) + P("M84 232q-8-46 6-92 12 9 26 9-10 46 2 97H84z", dark)
            + P("M250 196q52 10 62 24 6 12-2 26h-46q14-26-14-50z", dark) + L("M140 232q24-10 34-44M168 232q24-8 34-34", stripe, 7)
            + P("M78 230h238q10 0 8 14-2 18-22 18H96q-18 0-20-18-1-14 2-14z", CREAM) + R(78, 250, 244, 8, 4, stripe, opacity=".8") + laces)


def running_shoes():
    return shoe("#3d8fb0", NAVY, SUN)


def helmet():
    vent = lambda x, turn: T(f"translate({x} 156) rotate({turn})", R(-9, -34, 18, 66, 9, NAVY))
    return (L("M132 204q20 56 66 54 50 2 70-54", INK, 6) + P("M86 206q-6-118 118-118 104 0 116 104 2 14-14 14z", CORAL) + shade("M250 100q64 28 70 92 2 14-14 14h-40q14-60-16-106z")
            + vent(142, 14) + vent(190, 4) + vent(238, -8) + P("M84 200h226q14 0 14 8t-14 8H98q-14 0-14-16z", RUST) + shine("M104 176q6-40 38-62"))


def football():
    patch = "M0 -24l23 17-9 27h-28l-9-27z"
    seam = each(lambda turn: T(f"rotate({turn})", P("M0 -88q22 6 34 16l-16 24h-36l-16-24q12-10 34-16z", INK), L("M0 -48v24", INK, 4)), range(0, 360, 72))
    return T("translate(200 172) rotate(12)", C(0, 0, 90, WHITE), P(patch, INK), seam, C(0, 0, 90, "none", stroke="#c9d4d9", stroke_width=4)) + P("M262 110a90 90 0 0 1-112 137 96 96 0 0 0 112-137z", "#000", opacity=".1")


def dumbbells():
    one = R(-70, -8, 140, 16, 6, STEEL) + each(lambda x: R(x, -34, 22, 68, 8, INK), (-74, 52)) + each(lambda x: R(x, -44, 22, 88, 9, CORAL), (-52, 30)) + L("M-22 -3h44", WHITE, 3, opacity=".6")
    return T("translate(216 138) rotate(-24)", one) + T("translate(190 218) rotate(4)", one)


# ---- Fashion

TORSO = "M150 96q50 22 100 0l48 30q12 8 14 22l14 84q1 8-7 9l-22 3q-8 1-10-7l-13-62v87H126v-87l-13 62q-2 8-10 7l-22-3q-8-1-7-9l14-84q2-14 14-22z"


def jacket():
    return (P("M152 104q-6-52 48-52t48 52q-48 30-96 0z", "#d59b23") + P("M166 100q-4-32 34-32t34 32q-34 18-68 0z", INK) + P(TORSO, SUN) + shade("M230 262V108l20-12 48 30q12 8 14 22l14 84q1 8-7 9l-22 3q-8 1-10-7l-13-62v87z")
            + L("M200 116v146", INK, 4) + each(lambda y: C(200, y, 5, CREAM), (138, 172, 206, 240)) + L("M142 216l30-8M258 216l-30-8", "#a8760f", 5) + shine("M120 140l-12 60", 6))


def sweater():
    zig = lambda y: L(f"M128 {y}" + "l12-12 12 12" * 6, CREAM, 4)
    return P(TORSO, "#b85450") + P("M158 92q42 30 84 0l-10 22q-32 16-64 0z", "#8f3b38") + zig(170) + zig(190) + R(128, 206, 144, 7, 0, CREAM) + R(126, 248, 148, 14, 4, "#8f3b38") + L("M84 226l26 5M316 226l-26 5", "#8f3b38", 12) + each(lambda x: C(x, 226, 4, CREAM), range(146, 270, 18))


def beanie():
    rib = each(lambda x: L(f"M{x} 214v38", "#234b52", 4), range(124, 284, 16))
    return (C(200, 84, 30, CREAM) + each(lambda a: T(f"rotate({a} 200 84)", L("M200 66v-16", CREAM, 7)), range(0, 360, 45)) + P("M112 210q0-114 88-114t88 114z", TEAL)
            + L("M156 206q-6-70 26-104M244 206q6-70-26-104M200 206V100", "#2c939f", 5) + R(102, 204, 196, 58, 20, DEEP) + rib)


def sneakers():
    return shoe("#f4efe6", "#d9cfbf", CORAL)


def scarf():
    fringe = lambda x, y: each(lambda i: L(f"M{x + i * 12} {y}v18", RUST, 4), range(5))
    return (P("M162 150l-26 100h60l16-90z", "#cf7d6b") + P("M204 150l22 88h60l-36-96z", CORAL) + P("M108 128q0-48 92-48t92 48-92 50-92-50z", CORAL) + P("M138 124q0-24 62-24t62 24-62 26-62-26z", RUST)
            + L("M118 150q32 22 82 24 50-2 82-24", CREAM, 6) + L("M142 228h56M150 204h54M222 220h58M216 196h56", CREAM, 6) + fringe(141, 250) + fringe(231, 238))


def sunglasses():
    lens = lambda x: R(x, 132, 104, 82, 34, "#6b3f1d") + R(x + 9, 141, 86, 64, 27, INK) + L(f"M{x + 26} 186l30-34", WHITE, 7, opacity=".25")
    return L("M88 156L64 118q-6-10 8-14M312 156l24-38q6-10-8-14", "#6b3f1d", 9) + lens(84) + lens(212) + L("M188 160q12-14 24 0", "#6b3f1d", 9) + E(200, 252, 100, 6, "#000", opacity=".06")


# ---- Toys

def blocks():
    def cube(x, y, size, front, side, letter):
        d = size * .22
        return R(x, y, size, size, 5, front) + P(f"M{x + 3} {y}l{d} {-d}h{size - 3}l{-d} {d}z", side, opacity=".75") + P(f"M{x + size} {y + 3}l{d} {-d}v{size - 3}l{-d} {d}z", side) + letter
    sun, wave, hill = C(198, 133, 15, CREAM), L("M118 222q11-14 22 0t22 0", CREAM, 6), P("M238 238l20-32 20 32z", CREAM)
    return cube(98, 182, 80, CORAL, RUST, wave) + cube(216, 182, 80, TEAL, DEEP, hill) + cube(158, 94, 80, SUN, "#c98a1b", sun)


def board_game():
    square = lambda i: R(100 + (i % 5) * 34, 100 + (i // 5) * 34, 34, 34, 0, CREAM if i % 2 else "#7fb39a")
    pawn = lambda x, y, colour: P(f"M{x - 16} {y}q4-30 10-40h12q6 10 10 40z", colour) + C(x, y - 48, 14, colour)
    return (T("translate(8 4) skewX(-8) translate(26 0)", R(90, 90, 190, 158, 12, MOSS), each(square, range(20))) + pawn(150, 180, CORAL) + pawn(236, 216, NAVY)
            + T("translate(292 226) rotate(14)", R(-24, -24, 48, 48, 10, WHITE), C(-10, -10, 5, INK), C(10, 10, 5, INK), C(0, 0, 5, INK)))


def train():
    wheel = lambda x, r: C(x, 262 - r, r, INK) + C(x, 262 - r, r * .45, SUN)
    return (R(92, 118, 92, 106, 8, CORAL) + R(80, 102, 116, 20, 8, RUST) + R(108, 138, 58, 44, 6, CREAM) + R(180, 154, 128, 70, 30, TEAL) + R(252, 104, 28, 54, 4, DEEP) + R(244, 92, 44, 16, 6, DEEP)
            + C(210, 150, 12, SUN) + R(72, 216, 246, 16, 6, WOOD) + wheel(118, 30) + wheel(200, 24) + wheel(262, 24) + P("M304 228h22l14 30h-36z", BARK) + C(290, 70, 12, WHITE, opacity=".8") + C(312, 52, 17, WHITE, opacity=".7"))


def kite():
    bow = lambda x, y, turn, colour: T(f"translate({x} {y}) rotate({turn})", P("M0 0l-18-9v18zM0 0l18-9v18z", colour))
    return (L("M196 214q-34 22-8 44t-22 46", INK, 3) + P("M230 40l70 84-104 92z", CORAL) + P("M230 40l-100 64 66 112z", SUN) + P("M196 216l104-92-80-6z", TEAL) + P("M130 104l66 112 24-98z", "#f7d68a")
            + L("M130 104l170 20M230 40l-34 176", CREAM, 4) + bow(180, 240, 30, TEAL) + bow(186, 268, -20, CORAL) + C(86, 80, 22, WHITE, opacity=".7") + C(112, 84, 16, WHITE, opacity=".7"))


def whale():
    return (L("M166 110q-4-30-24-34M166 110q4-30 24-34", SKY, 7) + P("M84 196q-6-80 84-80 60 0 92 48 16 18 40 10-16-26-4-48 22 4 30 26 20-16 40-4-4 28-30 38-6 72-90 76H150q-62-2-66-66z", "#4f86b5")
            + P("M86 208q50 30 150 10 24-6 44-2-20 44-74 46h-56q-54-2-64-54z", CREAM) + L("M112 234q40 16 90 8M130 250q30 8 60 4", "#d9cdb5", 3) + C(128, 172, 8, INK) + C(131, 169, 2.5, WHITE) + E(112, 192, 12, 7, ROSE, opacity=".7") + P("M196 206q30 6 40 34-34 2-48-24z", "#3d6f9a"))


def rocket():
    return (P("M170 216l-40 46h44zM230 216l40 46h-44z", RUST) + P("M182 244q18 56 36 0z", SUN) + P("M200 44q58 62 40 200h-80q-18-138 40-200z", CREAM) + P("M200 44q24 26 34 62h-68q10-36 34-62z", CORAL)
            + shade("M216 62q44 70 24 182h-24q18-90 0-182z") + C(200, 148, 25, TEAL) + C(200, 148, 16, "#bfe3e6") + R(162, 214, 76, 12, 4, CORAL) + L("M80 90l10 10M90 90l-10 10M314 132l10 10M324 132l-10 10", SUN, 5) + C(306, 70, 5, SUN) + C(94, 160, 4, SUN))


# ---- Tech

def phone():
    return (T("translate(176 160) rotate(-8)", R(-52, -104, 104, 204, 20, "#b9c2cc"), R(-40, -90, 40, 44, 14, "#8d99a6"), C(-27, -77, 9, INK), C(-12, -62, 9, INK))
            + T("translate(226 162) rotate(6)", R(-54, -106, 108, 208, 22, INK), R(-47, -99, 94, 194, 16, "#1c5d73"), P("M-47 40q40-50 94-10v50q0 15-16 15h-62q-16 0-16-15z", CORAL), P("M-47 62q50-40 94 6v12q0 15-16 15h-62q-16 0-16-15z", SUN), C(16, -20, 17, CREAM), R(-14, -94, 28, 8, 4, INK)))


def tablet():
    return (R(84, 76, 232, 170, 18, INK) + R(94, 86, 212, 150, 10, "#f3efe6") + L("M116 210q30-80 64-40t50-30 56-24", TEAL, 6) + L("M116 216h160M116 112v104", STEEL, 3) + C(180, 170, 6, CORAL) + C(230, 140, 6, CORAL)
            + T("translate(292 196) rotate(32)", R(-7, -104, 14, 134, 6, PALE), P("M-7 30h14l-7 20z", STEEL), R(-7, -104, 14, 18, 6, CORAL)))


def laptop():
    code = each(lambda p: R(p[0], p[1], p[2], 7, 3, p[3]), ((126, 114, 70, CORAL), (140, 130, 96, "#9fd0cf"), (140, 146, 60, SUN), (154, 162, 84, PALE), (140, 178, 44, "#9fd0cf"), (126, 194, 56, CORAL)))
    return R(100, 84, 200, 142, 14, "#aab4bf") + R(108, 92, 184, 126, 8, NAVY) + code + P("M72 226h256l18 24q4 10-8 10H62q-12 0-8-10z", "#c5cdd6") + P("M166 226h68l5 12h-78z", "#9aa5b1") + R(54, 254, 292, 8, 4, "#98a3ae")


def watch():
    ticks = each(lambda a: T(f"rotate({a} 200 164)", L("M200 112v6", PALE, 3)), range(0, 360, 30))
    return (P("M170 108l6-62q1-8 9-8h30q8 0 9 8l6 62zM170 220l6 54q1 8 9 8h30q8 0 9-8l6-54z", CORAL) + each(lambda y: C(200, y, 4, RUST), (56, 72, 256, 270)) + R(266, 152, 14, 24, 5, STEEL) + C(200, 164, 70, "#c5cdd6") + C(200, 164, 60, INK)
            + ticks + L("M200 164v-34M200 164l24 12", CREAM, 5) + C(200, 164, 5, CORAL) + L("M158 164a42 42 0 0 0 30 40", TEAL, 6))


def camera():
    return (R(148, 92, 84, 44, 12, INK) + R(258, 104, 36, 18, 7, STEEL) + R(84, 120, 232, 138, 24, "#31424c") + R(84, 150, 232, 78, 0, BARK) + C(206, 188, 66, INK) + C(206, 188, 56, "#52646f") + C(206, 188, 42, "#17313d") + C(206, 188, 26, TEAL)
            + C(206, 188, 12, INK) + C(194, 174, 8, WHITE, opacity=".6") + R(102, 130, 36, 14, 5, SUN) + C(288, 138, 7, CORAL) + L("M84 140Q46 120 60 60M316 140q38-20 24-80", BARK, 6))


def controller():
    return (P("M126 116h148q26 0 36 30l24 76q8 34-20 38-18 2-34-18l-24-30H144l-24 30q-16 20-34 18-28-4-20-38l24-76q10-30 36-30z", "#5a6ea8") + shade("M300 128q6 6 10 18l24 76q8 34-20 38-10 1-20-6 20-6 14-36z") + R(132, 140, 14, 46, 4, INK) + R(116, 156, 46, 14, 4, INK)
            + C(262, 146, 9, SUN) + C(262, 182, 9, CORAL) + C(244, 164, 9, "#8fd0c4") + C(280, 164, 9, CREAM) + C(172, 198, 19, INK) + C(228, 198, 19, INK) + C(172, 196, 12, "#44556a") + C(228, 196, 12, "#44556a") + R(188, 132, 24, 12, 6, INK) + shine("M92 166l-12 44", 6))


# ---- Garden

def watering_can():
    drops = each(lambda p: P(f"M{p[0]} {p[1]}q8 12 0 18-8-6 0-18z", SKY), ((62, 142), (76, 164), (54, 176), (88, 148)))
    return (L("M262 128q70-14 60 60-6 40-52 44", MOSS, 13) + P("M152 222L84 128l16-10 66 64z", MOSS) + T("translate(88 118) rotate(-36)", R(-28, -10, 56, 20, 8, LEAF)) + P("M150 126h120l10 124q0 12-12 12H152q-12 0-12-12z", LEAF)
            + shade("M240 126h30l10 124q0 12-12 12h-34q16-60 6-136z") + E(210, 126, 60, 13, MOSS) + L("M168 124q4-46 42-46t42 46", MOSS, 9) + drops + shine("M166 152l-6 74"))


def monstera():
    leaf = lambda x, y, turn, size, colour: T(f"translate({x} {y}) rotate({turn}) scale({size})", P("M0 0C-62-10-60-84 0-116 60-84 62-10 0 0z", colour), L("M0-4v-94", "#8cc084", 4), each(lambda s: P(f"M{s * 52}-62q{-s * 24}-4 {-s * 32} 8 {s * 18} 6 {s * 34} 4zM{s * 48}-32q{-s * 20}-2 {-s * 28} 8 {s * 16} 4 {s * 26} 2z", "#d5e0bf"), (-1, 1)))
    return (L("M200 200Q190 150 140 130M200 200q10-60 62-74M200 200V120", MOSS, 6) + leaf(146, 146, -52, .86, MOSS) + leaf(254, 140, 50, .86, MOSS) + leaf(200, 158, 0, 1, LEAF)
            + P("M146 192h108l-12 60q-2 10-12 10h-60q-10 0-12-10z", "#d8785a") + R(138, 184, 124, 20, 8, "#c1613f") + shine("M164 212l5 34", 6))


def hand_tools():
    return (T("translate(152 160) rotate(-16)", R(-10, 20, 20, 82, 10, WOOD), R(-6, -6, 12, 32, 4, STEEL), P("M-28-8q-2-60 28-82 30 22 28 82-28 14-56 0z", "#a9b8bf"), L("M0-64v44", STEEL, 4), R(-10, 34, 20, 8, 2, RUST))
            + T("translate(252 160) rotate(14)", R(-10, 20, 20, 82, 10, WOOD), R(-6, -6, 12, 32, 4, STEEL), L("M0-4v-80M0-20q-26 0-26-24v-36M0-20q26 0 26-24v-36", "#a9b8bf", 9), R(-10, 34, 20, 8, 2, RUST)))


def bird_house():
    return (R(190, 236, 20, 60, 4, BARK) + R(132, 128, 136, 120, 6, SAND) + L("M132 158h136M132 188h136M132 218h136", "#cfa96c", 3) + shade("M236 128h32v120h-32z") + P("M200 58l98 76-14 18-84-66-84 66-14-18z", CORAL) + P("M144 128l56-44 56 44z", SAND)
            + C(200, 166, 25, INK) + R(192, 204, 16, 7, 3, BARK) + L("M200 208v10", BARK, 7) + T("translate(280 110)", E(0, 0, 19, 14, SKY), C(15, -13, 10, SKY), P("M24-14l12 3-12 4z", SUN), C(18, -15, 2, INK), P("M-16-2l-22-8 6 14z", NAVY)))


def garden_chair():
    slats = each(lambda i: T(f"rotate({-8 + i * 4} 200 250)", R(142 + i * 24, 78 + abs(i - 2) * 7, 20, 128, 8, TEAL)), range(5))
    return slats + R(128, 136, 144, 12, 5, DEEP) + R(92, 168, 72, 15, 7, DEEP) + R(236, 168, 72, 15, 7, DEEP) + L("M104 180v80M296 180v80", DEEP, 13) + P("M122 204h156l16 26H106z", "#2b909c") + L("M118 217h164", DEEP, 3) + L("M128 232l-6 28M272 232l6 28", DEEP, 11)


def herbs():
    sprig = lambda x, tall, colour: L(f"M{x} 196v{-tall}", MOSS, 4) + L(each(lambda i: f"M{x} {196 - i * 20}q-6-12-18-12M{x} {188 - i * 20}q6-12 18-12", range(tall // 20)), colour, 11)
    return sprig(128, 84, LEAF) + sprig(176, 118, MOSS) + sprig(226, 96, "#86b36a") + sprig(274, 108, LEAF) + R(88, 188, 224, 74, 8, WOOD) + R(88, 188, 224, 12, 5, BARK) + L("M92 226h216", "#b98a58", 3) + each(lambda x: R(x, 214, 34, 22, 3, CREAM), (112, 160, 210, 258)) + L("M118 225h22M166 225h22M216 225h22M264 225h22", STEEL, 3)


# ---- Care

def towels():
    roll = lambda x, y, colour, line: C(x, y, 38, colour) + L(f"M{x - 24} {y}a24 24 0 1 1 24 24M{x - 12} {y}a12 12 0 1 1 12 12", line, 5)
    return roll(122, 222, "#e6d3c3", "#c9ad97") + roll(200, 222, "#7fb7b9", "#5b9799") + roll(278, 222, "#f2ece2", "#d3c8b8") + roll(161, 156, "#f2ece2", "#d3c8b8") + roll(239, 156, CORAL, "#c4512b") + L("M200 112q0-34 26-44-4 34-26 44zM200 112q0-26-20-36 0 26 20 36z", LEAF, 3, fill=LEAF)


def hair_dryer():
    return (L("M236 232q10 40 60 28", INK, 5) + T("rotate(8 220 200)", R(204, 160, 44, 96, 16, "#d0647f"), R(216, 184, 20, 34, 8, CREAM)) + P("M112 106h120q62 2 62 50t-62 50H112q-10 0-10-10v-80q0-10 10-10z", "#e5829a") + shade("M112 206q-10 0-10-10v-22h190q-8 32-60 32z")
            + R(74, 118, 40, 76, 8, INK) + C(232, 156, 30, "#d0647f") + C(232, 156, 18, CREAM) + L("M222 156h20M232 146v20", "#d0647f", 3) + L("M30 134h26M22 156h34M30 178h26", WHITE, 5, opacity=".8") + shine("M130 122h70", 7))


def soap():
    return (P("M84 232h232q-10 30-44 30H128q-34 0-44-30z", WOOD) + R(78, 224, 244, 14, 7, BARK) + P("M112 190q0-38 40-38h96q40 0 40 38 0 36-40 36h-96q-40 0-40-36z", "#b9d8b6") + P("M112 190q0-38 40-38h96q40 0 40 38-20 18-88 18t-88-18z", "#cfe6cb")
            + L("M176 186q24-24 48 0-24 14-48 0z", LEAF, 3, fill="#a5cba0") + L("M176 186h48", LEAF, 3) + C(264, 116, 20, WHITE, opacity=".7") + C(228, 92, 13, WHITE, opacity=".6") + C(292, 78, 10, WHITE, opacity=".6") + C(146, 110, 11, WHITE, opacity=".6") + C(258, 109, 5, WHITE))


def toothbrush():
    bristles = each(lambda y: R(208, y, 20, 6, 2, SKY if y % 20 else WHITE), range(62, 102, 10))
    return (R(186, 52, 24, 56, 10, WHITE) + bristles + R(192, 104, 14, 46, 4, PALE) + P("M176 150h46l8 92q0 10-10 10h-42q-10 0-10-10z", TEAL) + shade("M210 150h12l8 92q0 10-10 10h-16q10-50 6-102z") + C(199, 180, 9, WHITE) + C(199, 206, 4, SUN) + R(150, 246, 98, 18, 9, WHITE)
            + T("translate(292 220)", R(-24, -36, 48, 78, 8, "#bfe0e2"), R(-24, -36, 48, 16, 6, WHITE), L("M-12-6v30", WHITE, 4, opacity=".7")) + shine("M184 164l-4 66", 5))


def perfume():
    return (R(176, 62, 48, 40, 8, BARK) + R(184, 100, 32, 18, 3, SUN) + R(128, 116, 144, 146, 26, "#f0c9a4") + R(138, 152, 124, 100, 18, CORAL, opacity=".55") + R(160, 172, 80, 50, 4, CREAM) + L("M176 190h48M186 204h28", BARK, 3) + shine("M144 140v80", 7) + shade("M250 116q22 4 22 26v94q0 22-22 26 8-70 0-146z")
            + E(96, 244, 28, 12, LEAF, transform="rotate(-30 96 244)") + E(306, 248, 24, 10, ROSE, transform="rotate(20 306 248)"))


def mirror():
    return (E(200, 256, 62, 9, BARK) + R(193, 196, 14, 60, 5, BARK) + C(200, 132, 84, WOOD) + C(200, 132, 72, "#d6eaf0") + P("M142 174a72 72 0 0 1 82-110z", WHITE, opacity=".55") + C(200, 132, 72, "none", stroke=BARK, stroke_width=3)
            + R(272, 214, 40, 48, 8, ROSE) + R(280, 200, 24, 16, 4, CREAM) + R(92, 232, 46, 30, 10, CREAM) + R(92, 226, 46, 12, 5, SAND))


DRAWINGS = {
    "Audio": [headphones, earbuds, speaker, soundbar, turntable, radio],
    "Kitchen": [kettle, grinder, knives, pot, toaster, blender],
    "Home": [desk_lamp, pendant, candles, cushion, blanket, vase],
    "Outdoor": [tent, backpack, bottle, lantern, hammock, binoculars],
    "Sport": [kettlebell, yoga_mat, running_shoes, helmet, football, dumbbells],
    "Fashion": [jacket, sweater, beanie, sneakers, scarf, sunglasses],
    "Toys": [blocks, board_game, train, kite, whale, rocket],
    "Tech": [phone, tablet, laptop, watch, camera, controller],
    "Garden": [watering_can, monstera, hand_tools, bird_house, garden_chair, herbs],
    "Care": [towels, hair_dryer, soap, toothbrush, perfume, mirror],
}
# These float: a shadow on the floor would be wrong, or is part of the drawing.
FLOATING = {"pendant", "kite", "sunglasses", "knives", "hand_tools", "watch", "cushion"}


def picture(category, drawing):
    wall, disc = ROOM[category]
    name = drawing.__name__
    floor = "" if name in FLOATING else E(200, 262, 124, 10, INK, opacity=".14")
    return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 320">'
            f'<rect width="400" height="320" fill="{wall}"/>{C(200, 156, 132, disc)}{floor}{drawing()}</svg>\n')


def main():
    folder = HERE / "pictures"
    folder.mkdir(exist_ok=True)
    names = set()
    for category, drawings in DRAWINGS.items():
        for drawing in drawings:
            name = drawing.__name__.replace("_", "-") + ".svg"
            text = picture(category, drawing)
            if len(text.encode()) > BYTES_MAX:
                sys.exit(f"{name} has {len(text.encode())} bytes, at most {BYTES_MAX} are allowed")
            (folder / name).write_text(text)
            names.add("/pictures/" + name)
    with open(HERE / "catalogue.csv", newline="", encoding="utf-8") as file:
        wanted = {row["picture"] for row in csv.DictReader(file)}
    if wanted != names:
        sys.exit(f"catalogue and pictures differ: {sorted(wanted ^ names)}")
    print(f"{len(names)} pictures in {folder}")


if __name__ == "__main__":
    main()
