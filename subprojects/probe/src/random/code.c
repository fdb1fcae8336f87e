/* SPDX-License-Identifier: BSD-2-Clause */
#include "random/code.h"

#include "random/choice.h"
#include "random/world.h"
#include "string.h"

enum { ANY = 0xff };

/* What follows the opcode. */
enum operand {
	NONE,
	REGISTER, /* ModRM of two registers */
	MEMORY,   /* ModRM of a register and [RDI] or, with 16-bit addresses, [BX] */
	IMM8,
	IMM32,
};

struct template
{
	u8 opcode[4];
	u8 length;
	u8 operand;
	u8 extension; /* ModRM's reg field, or ANY */
};

/* In modes other than 64-bit some decode differently; every CPU decodes them alike. */
static const struct template templates[] = {
	{{0x0f, 0xa2}, 2, NONE, ANY},               /* CPUID */
	{{0x0f, 0x32}, 2, NONE, ANY},               /* RDMSR */
	{{0x0f, 0x30}, 2, NONE, ANY},               /* WRMSR */
	{{0xf2, 0x0f, 0x01, 0xc6}, 4, NONE, ANY},   /* RDMSRLIST */
	{{0xf3, 0x0f, 0x01, 0xc6}, 4, NONE, ANY},   /* WRMSRLIST */
	{{0xb9}, 1, IMM32, ANY},                    /* MOV ECX, imm32 */
	{{0x0f, 0x22}, 2, REGISTER, 0},             /* MOV CR0, r */
	{{0x0f, 0x22}, 2, REGISTER, 3},             /* MOV CR3, r */
	{{0x0f, 0x22}, 2, REGISTER, 4},             /* MOV CR4, r */
	{{0x0f, 0x20}, 2, REGISTER, 0},             /* MOV r, CR0 */
	{{0x0f, 0x20}, 2, REGISTER, 3},             /* MOV r, CR3 */
	{{0x0f, 0x20}, 2, REGISTER, 4},             /* MOV r, CR4 */
	{{0x44, 0x0f, 0x22}, 3, REGISTER, 0},       /* MOV CR8, r */
	{{0x44, 0x0f, 0x20}, 3, REGISTER, 0},       /* MOV r, CR8 */
	{{0x0f, 0x06}, 2, NONE, ANY},               /* CLTS */
	{{0x0f, 0x01}, 2, REGISTER, 6},             /* LMSW r */
	{{0x0f, 0x01}, 2, MEMORY, 6},               /* LMSW m */
	{{0x0f, 0x01}, 2, REGISTER, 4},             /* SMSW r */
	{{0x0f, 0x23}, 2, REGISTER, ANY},           /* MOV DR, r */
	{{0x0f, 0x21}, 2, REGISTER, ANY},           /* MOV r, DR */
	{{0xe4}, 1, IMM8, ANY},                     /* IN AL, imm8 */
	{{0xef}, 1, NONE, ANY},                     /* OUT DX, EAX */
	{{0x6c}, 1, NONE, ANY},                     /* INSB */
	{{0xf3, 0x6f}, 2, NONE, ANY},               /* REP OUTSD */
	{{0x66, 0xf3, 0x6d}, 3, NONE, ANY},         /* REP INSW */
	{{0xf4}, 1, NONE, ANY},                     /* HLT */
	{{0xf3, 0x90}, 2, NONE, ANY},               /* PAUSE */
	{{0x0f, 0x01}, 2, MEMORY, 7},               /* INVLPG */
	{{0x0f, 0x31}, 2, NONE, ANY},               /* RDTSC */
	{{0x0f, 0x01, 0xf9}, 3, NONE, ANY},         /* RDTSCP */
	{{0x0f, 0x33}, 2, NONE, ANY},               /* RDPMC */
	{{0x0f, 0x09}, 2, NONE, ANY},               /* WBINVD */
	{{0x0f, 0x08}, 2, NONE, ANY},               /* INVD */
	{{0x0f, 0x01, 0xc8}, 3, NONE, ANY},         /* MONITOR */
	{{0x0f, 0x01, 0xc9}, 3, NONE, ANY},         /* MWAIT */
	{{0x0f, 0x01}, 2, MEMORY, 0},               /* SGDT */
	{{0x0f, 0x01}, 2, MEMORY, 1},               /* SIDT */
	{{0x0f, 0x01}, 2, MEMORY, 2},               /* LGDT */
	{{0x0f, 0x01}, 2, MEMORY, 3},               /* LIDT */
	{{0x0f, 0x00}, 2, REGISTER, 0},             /* SLDT */
	{{0x0f, 0x00}, 2, REGISTER, 1},             /* STR */
	{{0x0f, 0x00}, 2, MEMORY, 2},               /* LLDT */
	{{0x0f, 0x00}, 2, REGISTER, 3},             /* LTR */
	{{0x0f, 0x78}, 2, REGISTER, ANY},           /* VMREAD */
	{{0x0f, 0x79}, 2, MEMORY, ANY},             /* VMWRITE */
	{{0x0f, 0xc7}, 2, MEMORY, 6},               /* VMPTRLD */
	{{0x66, 0x0f, 0xc7}, 3, MEMORY, 6},         /* VMCLEAR */
	{{0xf3, 0x0f, 0xc7}, 3, MEMORY, 6},         /* VMXON */
	{{0x0f, 0xc7}, 2, MEMORY, 7},               /* VMPTRST */
	{{0x0f, 0x01, 0xc2}, 3, NONE, ANY},         /* VMLAUNCH */
	{{0x0f, 0x01, 0xc3}, 3, NONE, ANY},         /* VMRESUME */
	{{0x0f, 0x01, 0xc4}, 3, NONE, ANY},         /* VMXOFF */
	{{0x0f, 0x01, 0xd4}, 3, NONE, ANY},         /* VMFUNC */
	{{0x66, 0x0f, 0x38, 0x80}, 4, MEMORY, ANY}, /* INVEPT */
	{{0x66, 0x0f, 0x38, 0x81}, 4, MEMORY, ANY}, /* INVVPID */
	{{0x66, 0x0f, 0x38, 0x82}, 4, MEMORY, ANY}, /* INVPCID */
	{{0x0f, 0x01, 0xd1}, 3, NONE, ANY},         /* XSETBV */
	{{0xcc}, 1, NONE, ANY},                     /* INT3 */
	{{0xcd}, 1, IMM8, ANY},                     /* INT n */
	{{0xce}, 1, NONE, ANY},                     /* INTO */
	{{0xf1}, 1, NONE, ANY},                     /* INT1 */
	{{0x0f, 0x0b}, 2, NONE, ANY},               /* UD2 */
	{{0xcf}, 1, NONE, ANY},                     /* IRET */
	{{0x9c}, 1, NONE, ANY},                     /* PUSHF */
	{{0x9d}, 1, NONE, ANY},                     /* POPF */
	{{0xfa}, 1, NONE, ANY},                     /* CLI */
	{{0xfb}, 1, NONE, ANY},                     /* STI */
	{{0x8e}, 1, REGISTER, 2},                   /* MOV SS, r */
	{{0x8e}, 1, REGISTER, 3},                   /* MOV DS, r */
	{{0x17}, 1, NONE, ANY},                     /* POP SS */
	{{0x50}, 1, NONE, ANY},                     /* PUSH AX */
	{{0x5b}, 1, NONE, ANY},                     /* POP BX */
	{{0x89}, 1, MEMORY, ANY},                   /* MOV [m], r */
	{{0x8b}, 1, MEMORY, ANY},                   /* MOV r, [m] */
	{{0xf0, 0x01}, 2, MEMORY, ANY},             /* LOCK ADD [m], r */
	{{0xff}, 1, MEMORY, 4},                     /* JMP [m] */
	{{0xeb}, 1, IMM8, ANY},                     /* JMP short */
	{{0xf7}, 1, REGISTER, 6},                   /* DIV r */
	{{0x0f, 0x05}, 2, NONE, ANY},               /* SYSCALL */
	{{0x0f, 0x34}, 2, NONE, ANY},               /* SYSENTER */
	{{0x0f, 0x37}, 2, NONE, ANY},               /* GETSEC */
	{{0x90}, 1, NONE, ANY},                     /* NOP */
};

/* An MSR more often than chance would give one. */
static u32 msr_or_number(void)
{
	static const u32 msrs[] = {
		0x10,       0x1b,       0x3a,       0x8b,       0x174,      0x175,
		0x176,      0x1a0,      0x1d9,      0x277,      0x2ff,      0x480,
		0x48d,      0x6e0,      0x800,      0x808,      0xc0000080, 0xc0000081,
		0xc0000082, 0xc0000084, 0xc0000100, 0xc0000102,
	};

	switch (choice_below(4)) {
	case 0:
		return (u32)choice_below(8);
	case 1:
		return (u32)choice();
	default:
		return CHOICE_OF(msrs);
	}
}

static u8 *write_instruction(u8 *p)
{
	const struct template *template = &CHOICE_OF(templates);
	u8 extension = template->extension == ANY ? (u8)choice_below(8) : (u8) template->extension;
	u32 immediate;

	memcpy(p, template->opcode, template->length);
	p += template->length;
	switch (template->operand) {
	case REGISTER:
		*p++ = (u8)(0xc0u | (u32)extension << 3 | (u32)choice_below(8));
		break;
	case MEMORY:
		*p++ = (u8)(extension << 3 | 7);
		break;
	case IMM8:
		*p++ = (u8)choice();
		break;
	case IMM32:
		immediate = msr_or_number();
		memcpy(p, &immediate, sizeof(immediate));
		p += sizeof(immediate);
		break;
	default:
		break;
	}
	return p;
}

void code_write(u8 *code)
{
	static const u8 vmcall[] = {0x0f, 0x01, 0xc1};
	u64 count = 1 + choice_below(5);

	while (count--)
		code = write_instruction(code);
	memcpy(code, vmcall, sizeof(vmcall));
}

static u64 register_value(void)
{
	static const u16 places[] = {
		WORLD_CODE,        WORLD_STACK + 0x800, WORLD_DATA,   WORLD_DATA + 0xffc,
		WORLD_APIC_ACCESS, WORLD_READ_ONLY,     WORLD_TABLES, WORLD_HANDLERS + 0x70,
		WORLD_PML4,        WORLD_PAE_PDPT,      WORLD_SIZE,   WORLD_APIC_ACCESS + 0x80,
	};

	switch (choice_below(5)) {
	case 0:
		return choice_below(64);
	case 1:
		return choice();
	case 2:
		return choice_near(CR0_PE | CR0_PG | CR0_NE | CR0_ET, 32);
	default:
		return CHOICE_OF(places) + choice_below(16);
	}
}

void code_choose_registers(struct l2_regs *regs)
{
	u64 *value = &regs->rax;

	for (unsigned i = 0; i < 16; i++)
		value[i] = register_value();
	/* Repeated string instructions end soon. */
	regs->rcx = one_in(2) ? choice_below(8) : msr_or_number() & 0xc0001fff;
	regs->unused_rsp = 0;
}
