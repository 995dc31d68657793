#!/usr/bin/env python3
"""Writes src/kernel/gelu_table.h: the normal distribution's tail in pieces, for gelu in AVX-512. Needs mpmath.

gelu_table.py > src/kernel/gelu_table.h
"""
import mpmath as mp

PIECES, DEGREE, WIDTH = 32, 4, mp.mpf(3) / 16


def tail(a):
    return mp.erfc(a / mp.sqrt(2)) / 2


def piece(middle):
    """Coefficients, lowest power first, of the polynomial through the Chebyshev nodes of the piece around its middle."""
    nodes = [WIDTH / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * (DEGREE + 1))) for k in range(DEGREE + 1)]
    matrix = mp.matrix(DEGREE + 1, DEGREE + 1)
    for row, x in enumerate(nodes):
        for power in range(DEGREE + 1):
            matrix[row, power] = x ** power
    return mp.lu_solve(matrix, mp.matrix([tail(middle + x) for x in nodes]))


def main():
    mp.mp.dps = 40
    pieces = [piece(i * WIDTH) for i in range(PIECES)]
    print("/* Unit kernel: Phi(-a) = sum over p of gelu_table[p][i] * (a - i * GELU_WIDTH)^p where i = round(a / GELU_WIDTH).")
    print(" * Written by scripts/gelu_table.py; do not edit. */")
    print("#ifndef AKI_KERNEL_GELU_TABLE_H\n#define AKI_KERNEL_GELU_TABLE_H\n")
    print(f"#define GELU_WIDTH {mp.nstr(WIDTH, 9)}f\n#define GELU_LAST {mp.nstr(WIDTH * (PIECES - 1), 9)}f\n")
    print(f"static const float gelu_table[{DEGREE + 1}][{PIECES}] = {{")
    for power in range(DEGREE + 1):
        values = [mp.nstr(p[power], 9, min_fixed=0, max_fixed=0) + "f" for p in pieces]
        print("    {")
        for i in range(0, PIECES, 8):
            print("        " + ", ".join(values[i:i + 8]) + ",")
        print("    },")
    print("};\n\n#endif")


main()
