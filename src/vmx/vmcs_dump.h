/* SPDX-License-Identifier: BSD-2-Clause */
/* What a panic shows of the guest. */
#pragma once

/*
 * Logs the exit that this CPU is handling: its reason, the guest's registers, and the current VMCS
 * decoded. Nothing before the first exit.
 */
void vmcs_dump_exit(void);
