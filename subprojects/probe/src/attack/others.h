/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPUs beside the attacker: they count, watch it, are interrupted, reset and started again. */
#pragma once

#include "attack/attack.h"

/* The second CPU from now on counts and watches the attacker; false: there is none. */
bool others_begin(struct attacker *a);

/* It still counts; ends its work. */
void others_end(struct attacker *a);

/* So many INITs, and SIPIs, for the CPU that counts, which must then count again. */
void others_restart(struct attacker *a, unsigned inits);

/* An interrupt, NMI or SIPI for some other CPU; INIT and SIPI for the one that counts. */
void others_disturb(struct attacker *a);
