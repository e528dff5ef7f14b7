/* The smallest program: what is measured around it is the engine's. */
int main(void)
{
	return 0;
}
