/* The shell runs in a thread of its own. */
int main(void)
{
  return 0;
}
